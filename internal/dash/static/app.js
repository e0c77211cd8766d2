// What the pages gain from a script; all of them work without it.
'use strict';

(() => {
  const root = document.documentElement;
  const themes = ['system', 'light', 'dark'];

  // The theme is the only thing that is remembered.
  function remembered() {
    try {
      const name = localStorage.getItem('theme');
      return themes.includes(name) ? name : 'system';
    } catch {
      return 'system';
    }
  }

  function setTheme(name) {
    if (name === 'system') root.removeAttribute('data-theme');
    else root.dataset.theme = name;
  }

  function switchTheme(button) {
    const name = themes[(themes.indexOf(remembered()) + 1) % themes.length];
    try {
      localStorage.setItem('theme', name);
    } catch {
      // It holds for this page only.
    }
    setTheme(name);
    button.querySelector('span').textContent = name;
  }

  // Where the clipboard is closed to us (plain http), the browser's own copying
  // of what is selected still works.
  async function copy(source) {
    try {
      await navigator.clipboard.writeText(source.textContent);
      return true;
    } catch {
      const selection = getSelection();
      selection.removeAllRanges();
      const range = document.createRange();
      range.selectNodeContents(source);
      selection.addRange(range);
      return document.execCommand('copy');
    }
  }

  async function copyFor(button) {
    const done = await copy(document.getElementById(button.dataset.copy));
    button.textContent = done ? 'Copied' : 'Press Ctrl+C';
    setTimeout(() => { button.textContent = 'Copy'; }, 2500);
  }

  // The same words as relative in words.go, by the server's clock.
  function words(ms) {
    const seconds = Math.floor(Math.abs(ms) / 1000);
    if (seconds < 60) return ms >= 0 ? 'just now' : 'in a moment';
    let span = `${Math.round(seconds / 86400)} days`;
    if (seconds < 3600) span = `${Math.floor(seconds / 60)} min`;
    else if (seconds < 48 * 3600) span = `${Math.floor(seconds / 3600)} h`;
    return ms > 0 ? `${span} ago` : `in ${span}`;
  }

  function refreshTimes(ahead) {
    const now = Date.now() + ahead;
    for (const time of document.querySelectorAll('time[data-relative]')) {
      const text = words(now - Date.parse(time.dateTime));
      if (time.textContent !== text) time.textContent = text;
    }
  }

  // Before anything is painted: the theme, and that a phone's navigation opens on demand.
  setTheme(remembered());
  root.dataset.scripted = '';

  // The exact instant, in the reader's zone and in UTC.
  const exact = new Intl.DateTimeFormat('en-GB', {
    weekday: 'short', day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', timeZoneName: 'short',
  });
  const dated = { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit' };
  const stamp = new Intl.DateTimeFormat('en-GB', { ...dated, fractionalSecondDigits: 3 });
  const oldStamp = new Intl.DateTimeFormat('en-GB', { ...dated, year: 'numeric' });
  const inUTC = /^(UTC|Etc\/UTC|GMT)$/.test(exact.resolvedOptions().timeZone);

  // localTimes says instants in the reader's zone; where there is no script they are in UTC.
  function localTimes(part) {
    if (inUTC) return;
    for (const time of part.querySelectorAll('time[data-relative], time[data-stamp]')) {
      const at = new Date(time.dateTime);
      if (time.title.endsWith('UTC')) time.title = `${exact.format(at)} (${time.title})`;
      if ('stamp' in time.dataset) time.textContent = (/ \d{4} /.test(time.textContent) ? oldStamp : stamp).format(at).replace(/,/g, '');
    }
    for (const zone of part.querySelectorAll('[data-zone]')) zone.textContent = 'your time';
  }

  function toggleMenu(button) {
    button.setAttribute('aria-expanded', String(button.getAttribute('aria-expanded') !== 'true'));
  }

  // Escape closes the navigation of a phone, and leads back to its button.
  document.addEventListener('keydown', (event) => {
    const open = document.querySelector('[data-menu][aria-expanded="true"]');
    if (event.key !== 'Escape' || !open) return;
    toggleMenu(open);
    open.focus();
  });

  let ahead = 0; // of the server's clock before ours

  // ready readies a page, or a part that has been put in its place.
  function ready(part) {
    for (const button of part.querySelectorAll('[data-theme-switch]')) {
      button.querySelector('span').textContent = remembered();
      button.addEventListener('click', () => switchTheme(button));
      button.hidden = false;
    }
    for (const button of part.querySelectorAll('[data-menu]')) {
      button.addEventListener('click', () => toggleMenu(button));
      button.hidden = false;
    }
    for (const button of part.querySelectorAll('[data-copy]')) {
      button.setAttribute('aria-live', 'polite');
      button.addEventListener('click', () => copyFor(button));
      button.hidden = false;
    }
    localTimes(part);
    refreshTimes(ahead);
  }

  // arrived is told of a page that has been put in the place of another.
  function arrived() {
    const { now, address } = document.getElementById('page').dataset;
    if (address) history.replaceState(null, '', address); // loading again must not send the form again
    ahead = Date.parse(now) - Date.now();
    ready(document.body);
  }

  // A page hears when its session ends, and gives way to one that says so. Only a
  // page that is looked at listens: a browser has few connections.
  let hearing = null;
  let acting = false; // a form is on its way: its answer says what ended
  let over = null; // why the session has ended meanwhile

  function leave(why) {
    if (acting) over = why;
    else location.replace(`/ended?why=${encodeURIComponent(why)}`);
  }

  // hear listens until the session ends, the page goes, or the connection breaks.
  async function hear(signal) {
    const answer = await fetch('/events', { signal, cache: 'no-store', headers: { 'Tenure-Background': '1' } });
    if (answer.status === 401) return 'ended';
    if (answer.status === 403) return 'deactivated';
    if (!answer.ok) return null;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return null;
      text = (text + value).slice(-1000);
      const told = /event: ended\ndata: (\w+)\n\n/.exec(text);
      if (told) return told[1];
    }
  }

  async function listen() {
    if (hearing || document.hidden || !document.querySelector('#page[data-listens]')) return;
    const mine = new AbortController();
    hearing = mine;
    const why = await hear(mine.signal).catch(() => null);
    if (hearing !== mine) return;
    hearing = null;
    if (why && why !== 'anew') leave(why);
    else setTimeout(listen, why ? 0 : 3000 + Math.random() * 4000);
  }

  function hush() {
    hearing?.abort();
    hearing = null;
  }

  document.addEventListener('visibilitychange', () => {
    if (document.hidden) hush();
    else listen();
  });
  addEventListener('pagehide', hush);
  addEventListener('pageshow', listen);

  // The longest that a field takes is in bytes, and a browser counts characters: of
  // all that is not plain English there are fewer. Without a script the answer says so.
  document.addEventListener('input', ({ target: field }) => {
    if (!(field.maxLength > 0) || field.form?.method !== 'post') return;
    const bytes = new TextEncoder().encode(field.value).length;
    field.setCustomValidity(bytes > field.maxLength ? `This takes ${field.maxLength} bytes, and has ${bytes}: a letter with an accent counts as 2, most of other scripts as 2 to 4.` : '');
  });

  // A form that the browser sends by itself is answered by another page, which says
  // what has ended. Whoever stops the browser meanwhile hears again a little later.
  document.addEventListener('submit', (event) => {
    if (event.defaultPrevented) return; // htmx sends it
    hush();
    setTimeout(listen, 10000);
  });

  document.addEventListener('htmx:beforeRequest', (event) => {
    const { verb, headers } = event.detail.requestConfig;
    if (headers['Tenure-Background'] && document.hidden) event.preventDefault();
    if (verb !== 'get') acting = true;
  });

  // acted is told that a form has been answered: with a page, which listens anew,
  // or not at all.
  function acted(answered) {
    const why = over;
    acting = false;
    over = null;
    if (answered) {
      hush();
      listen();
    } else if (why) leave(why);
  }
  document.addEventListener('htmx:sendError', () => acted(false));
  document.addEventListener('htmx:sendAbort', () => acted(false));
  document.addEventListener('htmx:timeout', () => acted(false));

  document.addEventListener('DOMContentLoaded', () => {
    arrived();
    listen();
    setInterval(() => refreshTimes(ahead), 20000);
  });

  document.addEventListener('htmx:afterSettle', (event) => {
    if (event.target !== document.body) {
      ready(event.target);
      return;
    }
    arrived();
    if (acting) acted(true);
    else listen();
    const first = document.querySelector('#main [autofocus]') ?? document.getElementById('main');
    first.focus({ preventScroll: true });
  });

  // A secret does not wait in the browser's memory for the way back.
  addEventListener('pagehide', () => {
    for (const once of document.querySelectorAll('[data-once]')) once.remove();
  });
})();
