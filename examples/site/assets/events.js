// Connects to the events on demand; closes with the page.
const value = document.getElementById('value');
const state = document.getElementById('state');
const toggle = document.getElementById('toggle');
const log = document.getElementById('log');
let source;

function close(reason) {
  source?.close();
  source = undefined;
  toggle.textContent = 'Connect';
  state.textContent = reason;
}

function open() {
  log.replaceChildren();
  source = new EventSource(toggle.dataset.source);
  toggle.textContent = 'Disconnect';
  state.textContent = 'connecting';
  source.addEventListener('open', () => {
    state.textContent = 'connected';
  });
  source.addEventListener('message', ({ data }) => {
    const { number, time, process } = JSON.parse(data);
    value.textContent = number;
    const line = document.createElement('li');
    line.textContent = `said at ${time} by process ${process}`;
    log.prepend(line);
  });
  source.addEventListener('done', () => close('that was all'));
  source.addEventListener('error', () => {
    state.textContent = 'connection lost, trying again';
  });
}

toggle.addEventListener('click', () => (source === undefined ? open() : close('disconnected')));
