import { element } from './dom.js';

/** By error code, what it means; set when the page begins. */
let words = {};
export const setWords = (byCode) => (words = byCode);

/** What it means first, then what exactly was found, and the code to search for. */
export function showProblem(target, error) {
  target.hidden = !error;
  if (!error) return target.replaceChildren();
  const { code, message } = error;
  const meaning = words[code];
  target.replaceChildren(
    element('b', {}, meaning ?? message),
    ...(meaning === undefined ? [] : [element('span', {}, ` ${message}`)]),
    ' ',
    element('code', {}, code),
  );
}
