// The paper in the page: its pages come when they are near, passages and words are marked on them, and a click on a
// page tells what of the summary rests there. Texts of papers are only ever set as text.
(() => {
  const NEAR = '120% 0px'; // pages are drawn this far outside of what can be seen,
  const FAR = '600% 0px'; // and forgotten this far.
  const AT_ONCE = 2; // pages asked for at a time
  const UNREACHABLE = 'The server does not answer; check the connection.';
  const AGAIN = 3000; // ms after which a page is asked for again that did not come
  const ZOOMS = [0.5, 0.67, 0.8, 1, 1.25, 1.5, 2, 2.5, 3];
  const NARROW = 560; // px: below, a passage is made as wide as the view
  const calm = window.matchMedia('(prefers-reduced-motion: reduce)');

  const make = (tag, className, text = '') => {
    const made = document.createElement(tag);
    made.className = className;
    made.textContent = text;
    return made;
  };
  const overlaps = (a, b) => a.start < b.end && b.start < a.end;
  const nameOf = (range) => `${range.start}-${range.end}`;

  class PaperView {
    constructor(element, props, watch, server) {
      this.element = element;
      this.server = server;
      this.find = (selector) => element.querySelector(selector);
      this.root = this.find('.paper');
      this.scroll = this.find('.paper-scroll');
      this.bar = this.find('.passages');
      this.pages = [];
      this.close();
      this.passages = []; // of the chosen sentence
      this.chosen = -1;
      this.zoom = 1;
      this.listen();
      const open = () => this.open(props.value);
      watch('value', open);
      open();
    }

    // ------------------------------------------------------------------------------------ opening a paper

    async open(key) {
      if (key === this.key) return;
      this.key = key;
      this.layout = { pages: [] };
      this.known = new Map(); // name of a range -> its places
      this.waiting = new Set();
      this.hits = [];
      this.hit = -1;
      this.more = false;
      this.searched = '';
      this.find('#search-field').value = '';
      this.forget();
      this.showHits();
      this.build();
      if (!key) return;
      const layout = await this.ask('layout', {});
      if (!layout) return;
      this.layout = layout;
      this.asText = !layout.drawn;
      this.build();
      if (layout.problem) this.say(layout.problem);
      if (this.passages.length) this.choose(this.chosen); // chosen before its pages were here
      window.dispatchEvent(new Event('longt5-link'));
    }

    // Answers of the server, null where it has none or the paper has been changed meanwhile.
    async ask(what, details) {
      const key = this.key;
      let answer = null;
      try {
        answer = await this.server[`paper_${what}`]({ key, ...details });
      } catch { /* no answer either: Gradio's client itself keeps most failures to the console */ }
      answer ??= { gone: UNREACHABLE };
      if (key !== this.key) return null;
      if (this.unreachable) this.say(''); // it may be over
      this.unreachable = answer?.gone === UNREACHABLE;
      if (answer && answer.gone) {
        this.say(answer.gone);
        return null;
      }
      return answer;
    }

    build() {
      for (const observer of this.observers || []) observer.disconnect();
      this.near = new Set(); // pages that are seen or about to be
      const { pages, drawn } = this.layout;
      this.widest = Math.max(1, ...pages.map((page) => (page.size ? page.size[0] : 0)));
      this.pages = pages.map((page) => this.makePage(page));
      this.scroll.replaceChildren(...this.pages);
      this.scroll.scrollTop = 0;
      this.root.classList.toggle('has-paper', pages.length > 0);
      const text = this.find('[data-text]');
      text.hidden = !drawn;
      text.setAttribute('aria-pressed', Boolean(this.asText));
      this.find('.paper-zoom').hidden = pages.length === 0;
      this.fit();
      const watched = (margin, seen) => {
        const observer = new IntersectionObserver((entries) => entries.forEach(seen), {
          root: this.scroll, rootMargin: margin,
        });
        this.pages.forEach((page) => observer.observe(page));
        return observer;
      };
      this.observers = [
        watched(NEAR, (entry) => {
          if (entry.isIntersecting) {
            this.near.add(entry.target);
            this.want(entry.target);
          } else {
            this.near.delete(entry.target);
            this.waiting.delete(entry.target);
          }
        }),
        watched(FAR, (entry) => entry.isIntersecting || this.drop(entry.target)),
      ];
      this.tellPage();
    }

    makePage(page) {
      const made = make('div', 'page');
      made.page = page;
      made.dataset.page = page.number;
      made.setAttribute('role', 'group');
      made.setAttribute('aria-label', `Page ${page.label}`);
      if (page.size) {
        made.style.setProperty('--shape', `${page.size[0]} / ${page.size[1]}`);
        made.style.setProperty('--share', page.size[0] / this.widest);
      }
      made.append(make('div', 'page-body'), make('div', 'marks'), make('span', 'page-label', `p. ${page.label}`));
      return made;
    }

    // ------------------------------------------------------------------------------------ pages come and go

    want(page) {
      if (page.loading) return;
      const scale = this.asText ? 0 : this.scaleOf(page);
      // An image is drawn again when it would be blurred.
      if (page.state === (this.asText ? 'text' : 'image') && page.scale >= scale * 0.8) return;
      if (page.state === 'text' && page.failed) return;
      this.waiting.add(page);
      this.pump();
    }

    scaleOf(page) {
      const width = page.page.size ? page.page.size[0] : 600;
      return (page.clientWidth * window.devicePixelRatio) / width;
    }

    pump() {
      this.running = this.running || 0;
      while (this.running < AT_ONCE && this.waiting.size) {
        const middle = this.scroll.scrollTop + this.scroll.clientHeight / 2;
        const away = (page) => Math.abs(page.offsetTop + page.offsetHeight / 2 - middle);
        const next = [...this.waiting].reduce((a, b) => (away(b) < away(a) ? b : a));
        this.waiting.delete(next);
        this.running += 1;
        this.load(next).finally(() => { this.running -= 1; this.pump(); });
      }
    }

    load(page) {
      page.loading = page.loading || this.fetchPage(page).finally(() => { page.loading = null; });
      return page.loading;
    }

    async fetchPage(page) {
      const scale = this.scaleOf(page);
      const asText = this.asText;
      const answer = await this.ask('page', { page: page.page.number, scale, text: Boolean(asText) });
      if (!page.isConnected) return;
      if (!answer) {
        if (this.unreachable) setTimeout(() => this.near.has(page) && this.want(page), AGAIN);
        return;
      }
      const image = new Image();
      if (answer.image) {
        image.alt = '';
        image.draggable = false;
        image.src = answer.image;
        await image.decode().catch(() => {});
      }
      if (asText !== this.asText || scale < this.scaleOf(page) * 0.8) { // turned or enlarged meanwhile
        await this.fetchPage(page);
        return;
      }
      if (answer.image) page.querySelector('.page-body').replaceChildren(image);
      else {
        page.text = [...answer.text]; // characters, as the server counts them
        page.failed = Boolean(answer.problem);
      }
      page.state = answer.image ? 'image' : 'text';
      page.scale = scale;
      page.classList.toggle('is-text', page.state === 'text');
      page.classList.add('loaded');
      page.problem = answer.problem || '';
      await this.paint(page);
    }

    drop(page) {
      if (page.state !== 'image') return; // texts are small, and without them the page would change its height
      page.querySelector('.page-body').replaceChildren();
      page.classList.remove('loaded');
      page.state = '';
    }

    // ------------------------------------------------------------------------------------ marks on the pages

    // What is to be marked, the chosen ones last so that they lie on top.
    marks() {
      const evidence = this.passages.map((range, i) => ({ ...range, kind: i === this.chosen ? 'chosen' : 'passage' }));
      const hits = this.hits.map((range, i) => ({ ...range, kind: i === this.hit ? 'hit current' : 'hit' }));
      const back = (this.back || []).map((range) => ({ ...range, kind: 'chosen' }));
      return [...hits, ...back, ...evidence].sort((a, b) => a.kind.length - b.kind.length);
    }

    async locate(ranges) {
      const unknown = ranges.filter((range) => !this.known.has(nameOf(range)));
      if (!unknown.length) return;
      const answer = await this.ask('places', { ranges: unknown.map((range) => [range.start, range.end]) });
      if (answer) unknown.forEach((range, i) => this.known.set(nameOf(range), answer.places[i]));
    }

    paintAll() {
      return Promise.all(this.pages.filter((page) => page.state || page.querySelector('.mark')).map((page) => this.paint(page)));
    }

    async paint(page) {
      const marks = this.marks().filter((mark) => overlaps(mark, page.page));
      if (page.state === 'text') {
        this.paintText(page, marks);
        return;
      }
      if (marks.length) await this.locate(marks);
      const boxes = [];
      for (const mark of this.marks().filter((each) => overlaps(each, page.page))) {
        for (const [left, top, right, bottom] of this.rectangles(mark, page)) {
          const box = make('div', `mark ${mark.kind}`);
          box.style.left = `${left * 100}%`;
          box.style.top = `${top * 100}%`;
          box.style.width = `${(right - left) * 100}%`;
          box.style.height = `${(bottom - top) * 100}%`;
          boxes.push(box);
        }
      }
      page.querySelector('.marks').replaceChildren(...boxes);
    }

    rectangles(range, page) {
      const place = (this.known.get(nameOf(range)) || []).find((each) => each.page === page.page.number);
      return place ? place.rectangles : [];
    }

    paintText(page, marks) {
      page.querySelector('.marks').replaceChildren();
      const offset = page.page.start;
      const body = page.querySelector('.page-body');
      const paragraphs = [];
      if (page.problem) paragraphs.push(make('p', 'page-problem', page.problem));
      let start = 0;
      for (const line of page.text.join('').split('\n')) {
        const end = start + [...line].length;
        if (line.trim()) paragraphs.push(this.paragraph(page, start, end, offset, marks));
        start = end + 1;
      }
      body.replaceChildren(...paragraphs);
    }

    // A paragraph with its marks: cut where one begins or ends, each piece with the last of those over it.
    paragraph(page, start, end, offset, marks) {
      const made = make('p', '');
      made.dataset.start = start + offset;
      made.dir = 'auto';
      const inside = marks.filter((mark) => mark.start < end + offset && mark.end > start + offset);
      const cuts = new Set([start, end]);
      for (const mark of inside) {
        cuts.add(Math.max(start, mark.start - offset));
        cuts.add(Math.min(end, mark.end - offset));
      }
      const sorted = [...cuts].sort((a, b) => a - b);
      for (let i = 0; i + 1 < sorted.length; i += 1) {
        const words = page.text.slice(sorted[i], sorted[i + 1]).join('');
        const over = inside.filter((m) => m.start < sorted[i + 1] + offset && m.end > sorted[i] + offset).pop();
        made.append(over ? make('mark', `mark ${over.kind}`, words) : words);
      }
      return made;
    }

    // ------------------------------------------------------------------------------------ going somewhere

    pageAt(position) {
      const after = this.pages.findIndex((page) => page.page.end > position);
      return this.pages[after < 0 ? this.pages.length - 1 : after];
    }

    // Brings a range into view, in the paper only. Tells whether its place on the page was found.
    async reveal(range) {
      let page = this.pageAt(range.start);
      if (!page) return true;
      if (!this.asText) {
        if (this.pages.length) await this.locate([range]);
        const shown = this.pages.find((each) => this.rectangles(range, each).length);
        page = shown || page;
        if (shown) {
          this.enlarge(range, page);
          const [left, top, right] = this.rectangles(range, page)[0];
          await this.paint(page);
          this.go(page, top * page.offsetHeight, ((left + right) / 2) * page.offsetWidth);
          this.want(page);
          return true;
        }
      }
      if (page.state !== 'text') {
        this.go(page, 0);
        await this.load(page);
      }
      await this.paint(page);
      const mark = page.querySelector('.mark.chosen, .mark.current');
      this.go(page, mark && page.state === 'text' ? mark.offsetTop : 0);
      return page.state === 'text';
    }

    // On a phone a whole page is too small to read: the passage becomes as wide as the view.
    enlarge(range, page) {
      if (this.scroll.clientWidth > NARROW) return;
      const boxes = this.rectangles(range, page);
      const width = Math.max(...boxes.map((box) => box[2])) - Math.min(...boxes.map((box) => box[0]));
      this.setZoom(Math.min(2.4, Math.max(1, 0.94 / Math.max(width, 0.1))));
    }

    go(page, y, x = null) {
      const room = this.scroll.clientHeight;
      const top = Math.max(0, page.offsetTop + y - room * 0.3);
      const far = Math.abs(top - this.scroll.scrollTop) > 2 * room;
      const left = x === null ? 0 : Math.max(0, page.offsetLeft + x - this.scroll.clientWidth / 2);
      this.scroll.scrollTo({ top, left, behavior: far || calm.matches ? 'instant' : 'smooth' });
    }

    currentPage() {
      const line = this.scroll.scrollTop + this.scroll.clientHeight * 0.35;
      return this.pages.findLast((page) => page.offsetTop <= line) || this.pages[0];
    }

    tellPage() {
      const field = this.find('#page-field');
      const page = this.currentPage();
      const count = this.pages.length;
      if (document.activeElement !== field) field.value = page ? page.page.label : '';
      const same = !page || page.page.label === String(page.page.number);
      this.find('.paper-count').textContent = !page ? '' : same ? `/ ${count}` : `(${page.page.number} of ${count})`;
    }

    turnTo(words) {
      const wanted = words.trim().toLowerCase();
      const page = this.pages.find((each) => each.page.label.toLowerCase() === wanted) || this.pages[Number(wanted) - 1];
      if (page) this.scroll.scrollTo({ top: page.offsetTop - 8, behavior: 'instant' });
      else if (wanted) this.say(`There is no page ${words.trim()}.`);
    }

    // ------------------------------------------------------------------------------------ size

    fit() {
      this.width = this.scroll.clientWidth;
      const width = this.width - 24;
      if (width > 0) this.scroll.style.setProperty('--fit', `${width}px`);
      this.scroll.style.setProperty('--zoom', this.zoom);
    }

    setZoom(zoom) {
      if (Math.abs(zoom - this.zoom) < 0.02) return;
      this.zoom = zoom;
      this.refit();
    }

    // Pages have another size: the place that is read stays, and images that are blurred now are drawn again.
    refit() {
      const page = this.currentPage();
      const part = page ? (this.scroll.scrollTop - page.offsetTop) / page.offsetHeight : 0;
      this.fit();
      if (page) this.scroll.scrollTop = page.offsetTop + part * page.offsetHeight;
      this.near.forEach((each) => this.want(each));
    }

    step(direction) {
      const next = direction > 0
        ? ZOOMS.find((zoom) => zoom > this.zoom + 0.02) : ZOOMS.findLast((zoom) => zoom < this.zoom - 0.02);
      if (next) this.setZoom(next);
    }

    // ------------------------------------------------------------------------------------ evidence

    // The passages that a sentence rests on, as {start, end, page, label, share, quoted}; `words` says why there are none.
    async showEvidence(passages, chosen, words) {
      this.passages = passages;
      this.back = [];
      this.root.classList.add('open');
      document.getElementById('workspace').classList.add('paper-open');
      this.showPassages(passages, words);
      if (passages.length) await this.choose(chosen);
      else this.paintAll();
    }

    // What was chosen in a summary that is shown no more.
    forget() {
      Object.assign(this, { passages: [], chosen: -1, back: [] });
      this.showPassages([], '');
      this.say('');
      this.paintAll();
    }

    showPassages(passages, words) {
      const pills = passages.map((passage, i) => {
        const pill = make('button', 'pill');
        pill.type = 'button';
        pill.dataset.passage = i;
        pill.append(make('span', 'pill-page', `p. ${passage.label}`));
        const share = Math.round(passage.share * 100);
        if (passage.quoted) pill.append(make('span', 'pill-share', 'quoted'));
        else {
          const meter = make('span', 'pill-meter');
          meter.style.setProperty('--share', `${share}%`);
          pill.append(meter, make('span', 'pill-share', `${share} %`));
          pill.title = `${share} % of the attention that counts for this sentence fell on this passage`;
        }
        return pill;
      });
      const quoted = passages.some((passage) => passage.quoted);
      const lead = passages.length ? (quoted ? 'Stands in the paper word for word' : 'Rests on') : words;
      this.bar.replaceChildren(make('span', 'passages-lead', lead), ...pills);
      this.bar.hidden = !lead;
      this.find('.passages-told').textContent = [lead, ...passages.map((each) => `p. ${each.label}`)].join(' ').trim();
      this.find('.passages-note')?.remove();
      if (passages.length && !quoted) {
        this.bar.append(make('span', 'passages-hint', 'share of the model\u2019s attention: a place to check, not a proof'));
      }
    }

    async choose(index) {
      this.chosen = index;
      for (const pill of this.bar.querySelectorAll('.pill')) {
        pill.setAttribute('aria-pressed', Number(pill.dataset.passage) === index);
      }
      const passage = this.passages[index];
      this.say('');
      const asked = passage;
      const found = await this.reveal(passage);
      if (this.passages[this.chosen] !== asked) return;
      this.paintAll();
      if (!found) this.say(`The passage could not be found on the image of page ${passage.label}; this is the page. It reads: \u201c${await this.words(passage)}\u201d`);
    }

    async words(range) {
      const page = this.pageAt(range.start);
      const answer = await this.ask('page', { page: page.page.number, scale: 1, text: true });
      return answer ? [...answer.text].slice(range.start - answer.start, range.end - answer.start).join('') : '';
    }

    close() {
      this.root.classList.remove('open');
      document.getElementById('workspace').classList.remove('paper-open');
    }

    // ------------------------------------------------------------------------------------ the way back

    async clicked(event) {
      const page = event.target.closest('.page');
      if (!page || !window.getSelection().isCollapsed) return;
      let position = null;
      if (page.state === 'text') position = this.positionInText(event);
      else {
        const box = page.getBoundingClientRect();
        const x = (event.clientX - box.left) / box.width;
        const y = (event.clientY - box.top) / box.height;
        const answer = await this.ask('position', { page: page.page.number, x, y });
        if (!answer) return;
        position = answer.position;
      }
      if (position !== null) this.follow({ start: position, end: position + 1 });
    }

    positionInText(event) {
      const paragraph = event.target.closest('p[data-start]');
      const caret = document.caretPositionFromPoint
        ? document.caretPositionFromPoint(event.clientX, event.clientY) : document.caretRangeFromPoint(event.clientX, event.clientY);
      const node = caret && (caret.offsetNode || caret.startContainer);
      if (!paragraph || !node || !paragraph.contains(node)) return null;
      const before = document.createRange();
      before.setStart(paragraph, 0);
      before.setEnd(node, caret.offset ?? caret.startOffset);
      return Number(paragraph.dataset.start) + [...before.toString()].length;
    }

    // Which sentences of the summary rest on a place: the summary marks them and says with which passages.
    follow(range) {
      const { sentences, passages } = window.longt5.summary.restingOn(range);
      this.passages = [];
      this.chosen = -1;
      this.back = passages;
      const many = sentences === 1 ? 'One sentence of the summary rests' : `${sentences} sentences of the summary rest`;
      this.showPassages([], sentences ? `${many} on this place.` : 'No sentence of the summary rests on this place.');
      this.paintAll();
    }

    // ------------------------------------------------------------------------------------ search

    async search() {
      const words = this.find('#search-field').value;
      this.searched = words;
      if (!words.trim()) return this.clearSearch();
      const answer = await this.ask('search', { words });
      if (!answer || words !== this.find('#search-field').value) return undefined;
      this.hits = answer.hits.map(([start, end, page]) => ({ start, end, page }));
      this.more = answer.more;
      const here = this.currentPage();
      this.hit = this.hits.length ? Math.max(0, this.hits.findIndex((hit) => hit.page >= here.page.number)) : -1;
      return this.showHit();
    }

    clearSearch() {
      this.find('#search-field').value = '';
      this.searched = '';
      this.hits = [];
      this.hit = -1;
      this.showHits();
      return this.paintAll();
    }

    nextHit(direction) {
      if (!this.hits.length) return undefined;
      this.hit = (this.hit + direction + this.hits.length) % this.hits.length;
      return this.showHit();
    }

    async showHit() {
      this.showHits();
      if (this.hit >= 0) await this.reveal(this.hits[this.hit]);
      await this.paintAll();
    }

    showHits() {
      const { length } = this.hits;
      const count = this.more ? `${length}+` : length;
      this.find('.paper-hits').textContent = length ? `${this.hit + 1} of ${count}` : this.searched ? 'not found' : '';
      for (const button of this.element.querySelectorAll('[data-hit]')) button.disabled = !length;
    }

    // ------------------------------------------------------------------------------------ events

    say(words) {
      this.find('.paper-note').textContent = words;
    }

    listen() {
      const on = (selector, event, act) => this.find(selector).addEventListener(event, act);
      this.scroll.addEventListener('scroll', () => requestAnimationFrame(() => this.tellPage()), { passive: true });
      this.scroll.addEventListener('click', (event) => this.clicked(event));
      on('.paper-zoom', 'click', (event) => {
        const { zoom } = event.target.dataset;
        if (zoom === 'fit') this.setZoom(1);
        else if (zoom) this.step(zoom === 'in' ? 1 : -1);
      });
      on('[data-text]', 'click', () => this.toggleText());
      on('#page-field', 'change', (event) => this.turnTo(event.target.value));
      on('#page-field', 'focus', (event) => event.target.select());
      on('#page-field', 'blur', () => this.tellPage());
      on('.paper-close', 'click', () => this.leave());
      this.bar.addEventListener('click', (event) => {
        const pill = event.target.closest('.pill');
        if (pill) this.choose(Number(pill.dataset.passage));
      });
      let pause = 0;
      on('#search-field', 'input', () => {
        clearTimeout(pause);
        pause = setTimeout(() => this.search(), 180);
      });
      on('#search-field', 'keydown', (event) => this.searchKey(event));
      for (const button of this.element.querySelectorAll('[data-hit]')) {
        button.addEventListener('click', () => this.nextHit(Number(button.dataset.hit)));
      }
      document.addEventListener('keydown', (event) => {
        if (event.key === 'Escape' && this.root.classList.contains('open') && !event.defaultPrevented) this.leave();
      });
      // Its height changes with the line of passages above it, while it is moving to one of them.
      new ResizeObserver(() => this.scroll.clientWidth !== this.width && this.refit()).observe(this.scroll);
    }

    searchKey(event) {
      if (event.key === 'Escape' && event.target.value) {
        event.preventDefault();
        this.clearSearch();
      } else if (event.key === 'Enter') {
        event.preventDefault();
        if (this.searched === event.target.value && this.hits.length) this.nextHit(event.shiftKey ? -1 : 1);
        else this.search();
      }
    }

    toggleText() {
      this.asText = !this.asText;
      if (this.scroll.clientWidth <= NARROW) this.setZoom(1); // a passage may have been enlarged; lines of text break
      this.find('[data-text]').setAttribute('aria-pressed', this.asText);
      const here = this.currentPage();
      for (const page of this.pages) {
        page.state = '';
        page.classList.remove('loaded', 'is-text');
        page.querySelector('.page-body').replaceChildren();
        page.querySelector('.marks').replaceChildren();
      }
      this.near.forEach((page) => this.want(page));
      if (here) this.scroll.scrollTop = here.offsetTop;
    }

    leave() {
      this.close();
      window.longt5.summary.focus();
    }
  }

  window.longt5.paper = {
    view: null,
    start: (element, props, watch, server) => {
      window.longt5.paper.view = new PaperView(element, props, watch, server);
    },
  };
})();
