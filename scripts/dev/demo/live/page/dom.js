/* global document */

export const byId = (id) => document.getElementById(id);

/** An element. Texts become text and never markup: much of what is shown was written by strangers. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** Sets a text where it is another one, so that what has not changed is neither drawn nor read out again. */
export function write(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

export const plural = (count, noun) => `${count} ${noun}${count === 1 ? '' : 's'}`;
