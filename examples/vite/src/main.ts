import './style.css';
import { label } from './label.ts';

const button = document.querySelector<HTMLButtonElement>('#counter')!;
let count = 0;
let text = label;
const show = () => {
  button.textContent = text(count);
};
button.addEventListener('click', () => {
  count += 1;
  show();
});
show();

// Save label.ts: the button changes, and the count stays.
import.meta.hot?.accept('./label.ts', (next) => {
  text = next!.label;
  show();
});
