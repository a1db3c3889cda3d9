/* global fetch */

/** @returns the answer, or `error` with a code and a message; it does not reject */
export async function post(path, body) {
  try {
    const response = await fetch(path, { method: 'POST', body });
    return await response.json();
  } catch {
    return { error: { code: 'NOT_SENT', message: 'The page’s server does not answer.' } };
  }
}

/** Follows a button's click with an action. Clicks do nothing while it lasts; a disabled button would lose the focus. */
export function onClick(button, act) {
  button.addEventListener('click', async () => {
    if (button.getAttribute('aria-disabled') === 'true') return;
    button.setAttribute('aria-disabled', 'true');
    await act();
    button.setAttribute('aria-disabled', 'false');
  });
}
