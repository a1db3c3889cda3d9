/** A picture before and after; the range in `frame` says where one ends. One page loads this, the other holds its text. */
export function slide(frame) {
  const range = frame.querySelector('input');
  const show = () => frame.style.setProperty('--at', `${range.value}%`);
  const follow = (event) => {
    const { left, width } = frame.getBoundingClientRect();
    range.value = String(((event.clientX - left) / width) * 100);
    show();
  };
  frame.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    frame.setPointerCapture(event.pointerId);
    range.focus({ preventScroll: true });
    follow(event);
  });
  frame.addEventListener('pointermove', (event) => {
    if (frame.hasPointerCapture(event.pointerId)) follow(event);
  });
  range.addEventListener('input', show);
  show();
}
