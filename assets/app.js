// What the page does without its server: copy, save files, save a figure as PNG, hear clicks in figures.
(() => {
  const say = (id, words) => {
    const button = document.getElementById(id);
    if (!button) return;
    const before = button.textContent;
    button.textContent = words;
    setTimeout(() => { button.textContent = before; }, 1500);
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
      const url = URL.createObjectURL(new Blob([bytes], { type: mime }));
      saveAs(url, name);
      setTimeout(() => URL.revokeObjectURL(url), 60000);
    },

    // The figure as drawn in the browser, always dark on white, twice the size of the screen's.
    png: (wrapper, name) => {
      const plot = document.querySelector(`#${wrapper} .js-plotly-plot`);
      if (!plot || !window.Plotly) return;
      const { title, top, height } = plot.layout.meta;
      const margin = { ...plot.layout.margin, t: top };
      const layout = { ...plot.layout, title, margin, height, width: 1000, autosize: false };
      window.Plotly.toImage({ data: plot.data, layout }, { format: 'png', width: 1000, height, scale: 2 })
        .then((url) => saveAs(url, name));
    },

    // Set by the courier component: sends an event to the server.
    send: () => {},
  };
  window.longt5 = longt5;

  // Figures come and go as values change; each new one gets its click heard.
  const listen = () => {
    for (const plot of document.querySelectorAll('.js-plotly-plot')) {
      if (plot.dataset.heard || !plot.on) continue;
      plot.dataset.heard = 'yes';
      // Gradio lets every figure fill its container, and forgets the height it was given.
      const { height, top } = plot.layout.meta;
      plot.style.height = `${height - top + plot.layout.margin.t}px`;
      window.Plotly.Plots.resize(plot);
      plot.on('plotly_click', (event) => {
        const [row, column] = event.points[0].pointIndex;
        longt5.send('cell', { figure: plot.closest('[id$="-figure"]').id, row, column });
      });
    }
  };
  new MutationObserver(listen).observe(document.documentElement, { childList: true, subtree: true });
})();
