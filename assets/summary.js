// The summary in the page: its sentences are buttons that show their evidence in the paper, and it grows while it is
// written without losing what was chosen, folded or scrolled to.
(() => {
  const NONE = 'No passage of the paper supports this sentence.';
  const LATER = 'Where this comes from is looked up when the part is written.';
  const NEVER = 'The work was stopped before it was looked up where this comes from.';

  class SummaryView {
    constructor(element, trigger, watch) {
      this.element = element;
      this.trigger = trigger;
      this.chosen = -1;
      this.folded = new Set(); // headings of the sections that were folded
      element.addEventListener('click', (event) => this.clicked(event));
      element.addEventListener('keydown', (event) => {
        if ((event.key === 'Enter' || event.key === ' ') && event.target.matches('.sentence')) {
          event.preventDefault();
          this.choose(event.target, 0);
        }
      });
      element.addEventListener('toggle', (event) => {
        const heading = event.target.querySelector?.('summary')?.textContent;
        if (heading) this.folded[event.target.open ? 'delete' : 'add'](heading);
      }, true);
      watch('value', () => this.restore());
      // A summary made again may be there at once, and the same: then nothing in the page changes but this.
      document.addEventListener('click', (event) => event.target.closest('#summarize') && this.forget());
      window.addEventListener('longt5-link', () => setTimeout(() => this.openLink()));
    }

    // The sentence that the address names, once its paper and its summary are here.
    openLink() {
      const link = new URLSearchParams(window.location.search);
      if (this.linked || link.get('paper') !== this.paper || !window.longt5.paper.view?.layout.pages.length) return;
      const sentence = this.sentences()[Number(link.get('sentence') ?? -1)];
      if (sentence) this.choose(sentence, 0);
    }

    sentences() {
      return [...this.element.querySelectorAll('.sentence')];
    }

    clicked(event) {
      const chip = event.target.closest('.chip');
      const sentence = event.target.closest('.sentence');
      if (chip) {
        const of = this.element.querySelector(`.sentence[data-sentence="${chip.dataset.sentence}"]`);
        this.choose(of, Number(chip.dataset.passage));
      } else if (sentence && window.getSelection().isCollapsed) {
        this.choose(sentence, 0);
      }
    }

    choose(sentence, passage) {
      this.chosen = Number(sentence.dataset.sentence);
      this.linked = true; // whatever the address named has been overtaken
      this.unmark();
      this.restore();
      const passages = passagesOf(sentence);
      const state = this.element.querySelector('.summary').dataset.state;
      const words = state === 'growing' ? LATER : state === 'stopped' ? NEVER : NONE;
      window.longt5.paper.view?.showEvidence(passages, passage, words);
      this.keepAboveSheet(sentence);
      this.trigger('click', { sentence: this.chosen });
    }

    // On a phone the paper comes up over the lower part of the window.
    keepAboveSheet(sentence) {
      const sheet = document.querySelector('.paper');
      if (!sheet || getComputedStyle(sheet).position !== 'fixed') return;
      const { top, bottom } = sentence.getBoundingClientRect();
      const free = window.innerHeight * 0.4;
      // Whatever it is that scrolls here: the window or a part of it.
      if (top < 0 || bottom > free - 8) sentence.scrollIntoView({ block: 'start' });
    }

    // What was chosen and folded, on sentences that have been written anew.
    restore() {
      const summary = this.element.querySelector('.summary');
      const paper = summary?.dataset.paper;
      if (paper !== this.paper) {
        this.paper = paper;
        this.linked = false;
        this.forget();
        setTimeout(() => this.openLink());
        this.folded.clear();
      }
      this.press();
      for (const section of this.element.querySelectorAll('details')) {
        if (this.folded.has(section.querySelector('summary').textContent)) section.open = false;
      }
    }

    press() {
      for (const sentence of this.sentences()) {
        sentence.setAttribute('aria-pressed', Number(sentence.dataset.sentence) === this.chosen);
      }
    }

    forget() {
      this.chosen = -1;
      this.press();
      window.longt5.paper.view?.forget();
    }

    unmark() {
      for (const marked of this.element.querySelectorAll('.rests')) marked.classList.remove('rests');
    }

    // Marks the sentences that rest on a place of the paper; how many they are, and their passages there.
    restingOn(range) {
      this.chosen = -1;
      this.restore();
      this.unmark();
      const found = [];
      const passages = [];
      for (const sentence of this.sentences()) {
        const there = passagesOf(sentence).filter((each) => each.start < range.end && range.start < each.end);
        if (there.length) {
          found.push(sentence);
          passages.push(...there);
        }
      }
      found.forEach((sentence) => sentence.classList.add('rests'));
      found.forEach((sentence) => sentence.closest('details')?.setAttribute('open', ''));
      if (found.length) this.show(found[0]);
      return { sentences: found.length, passages };
    }

    show(sentence) {
      const calm = window.matchMedia('(prefers-reduced-motion: reduce)').matches;
      const behavior = calm ? 'auto' : 'smooth';
      const pane = sentence.closest('.summary-scroll');
      const { top, height } = sentence.getBoundingClientRect();
      if (pane && pane.scrollHeight > pane.clientHeight + 1) {
        const middle = (pane.clientHeight - height) / 2;
        pane.scrollBy({ top: top - pane.getBoundingClientRect().top - Math.max(0, middle), behavior });
      } else {
        window.longt5.paper.view?.close();
        window.scrollBy({ top: top - window.innerHeight * 0.3, behavior });
      }
    }

    focus() {
      this.element.querySelector(`.sentence[data-sentence="${this.chosen}"]`)?.focus({ preventScroll: true });
    }
  }

  const passagesOf = (sentence) => JSON.parse(sentence.dataset.passages)
    .map(([start, end, page, label, share, quoted]) => ({ start, end, page, label, share, quoted }));

  window.longt5.summary = {
    view: null,
    start: (element, trigger, watch) => {
      window.longt5.summary.view = new SummaryView(element, trigger, watch);
    },
    restingOn: (range) => window.longt5.summary.view.restingOn(range),
    focus: () => window.longt5.summary.view.focus(),
  };
})();
