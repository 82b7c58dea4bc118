// What the page does without its server: copy, save files, paint an SVG as PNG, hand on the view in its address.
(() => {
  // To whoever listens to the page instead of looking at it.
  const told = document.createElement('div');
  told.className = 'visually-hidden';
  told.setAttribute('role', 'status');
  const tell = (words) => {
    document.body.append(told);
    told.textContent = words;
  };

  const saying = new Map(); // buttons that say something for a moment -> what they are called, and what ends the moment
  const say = (id, words) => {
    const button = document.getElementById(id);
    if (!button) return;
    const { called, end } = saying.get(button) ?? { called: button.textContent };
    clearTimeout(end);
    button.textContent = words;
    tell(words);
    const over = () => { button.textContent = called; saying.delete(button); tell(''); };
    saying.set(button, { called, end: setTimeout(over, 1500) });
  };

  const saveAs = (url, name) => {
    const link = document.createElement('a');
    link.href = url;
    link.download = name;
    document.body.append(link);
    link.click();
    link.remove();
  };

  // One line of a page served without TLS has no navigator.clipboard: the old way works there.
  const copyText = async (text) => {
    if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
    const area = document.createElement('textarea');
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    if (!done) throw new Error('not allowed');
  };

  const longt5 = {
    copy: (text, button) => copyText(text).then(
      () => say(button, 'Copied'), () => say(button, 'Copying is not allowed here')),

    // A file from the server, as {name, mime, data: base64}.
    save: (parcel) => {
      if (!parcel) return;
      const { name, mime, data } = JSON.parse(parcel);
      const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
      if (name.endsWith('.png') && mime === 'image/svg+xml') { longt5.png(bytes, name); return; }
      if (mime === 'text/x-link') {
        const link = location.href.split('#')[0] + new TextDecoder().decode(bytes);
        copyText(link).then(() => say('map-link', 'Copied'), () => say('map-link', 'Copying is not allowed here'));
        return;
      }
      const url = URL.createObjectURL(new Blob([bytes], { type: mime }));
      saveAs(url, name);
      setTimeout(() => URL.revokeObjectURL(url), 60000);
    },

    // An SVG painted three times as large as it is: whoever reads the page has the fonts for it.
    png: async (svg, name) => {
      const image = new Image();
      image.src = URL.createObjectURL(new Blob([svg], { type: 'image/svg+xml' }));
      await image.decode();
      const canvas = document.createElement('canvas');
      [canvas.width, canvas.height] = [3 * image.width, 3 * image.height];
      canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height);
      URL.revokeObjectURL(image.src);
      saveAs(canvas.toDataURL('image/png'), name);
    },

    // Set by the courier component: sends an event to the server.
    send: () => {},
  };
  window.longt5 = longt5;

  // An address that restores a view: the server hears of it once the courier is there.
  const link = new URLSearchParams(location.hash.slice(1)).has('attention') ? location.hash.slice('#attention='.length) : '';
  const deliver = (tries) => {
    if (longt5.send.length) longt5.send('cell', { figure: 'link', link });
    else if (tries) setTimeout(() => deliver(tries - 1), 300);
  };
  if (link) deliver(100);
})();
