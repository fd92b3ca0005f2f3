// Replays a session, or shows one that goes on. The pages show their text without this file.

import { Screen } from "./screen.js";

function replay(place) {
  const events = JSON.parse(place.querySelector("[data-output]").textContent);
  const shown = place.querySelector("[data-screen]");
  const play = place.querySelector("[data-play]");
  const position = place.querySelector("[data-position]");
  const speed = place.querySelector("[data-speed]");
  const screen = new Screen(Number(place.dataset.columns), Number(place.dataset.rows));
  let next = 0;
  let timer = null;

  const draw = () => { shown.textContent = screen.text(); position.value = String(next); };
  const stop = () => { clearTimeout(timer); timer = null; play.textContent = "Play"; };
  const step = () => {
    if (next >= events.length) { stop(); return; }
    screen.write(events[next][1]);
    next += 1;
    draw();
    if (next >= events.length) { stop(); return; }
    const pause = Math.min(Math.max(events[next][0] - events[next - 1][0], 0), 2000) / Number(speed.value);
    timer = setTimeout(step, pause);
  };

  position.max = String(events.length);
  position.addEventListener("input", () => {
    stop();
    screen.clear();
    for (next = 0; next < Number(position.value); next += 1) screen.write(events[next][1]);
    draw();
  });
  play.addEventListener("click", () => {
    if (timer !== null) { stop(); return; }
    if (next >= events.length) { next = 0; screen.clear(); }
    play.textContent = "Pause";
    step();
  });
  place.hidden = events.length === 0;
  draw();
}

// Shows a session that goes on. When the stream breaks the browser asks again, and everything comes once more; when it
// may no longer be watched the browser is refused and stops.
function watch(place) {
  const shown = place.querySelector("[data-screen]");
  const state = place.querySelector("[data-state]");
  const screen = new Screen(Number(place.dataset.columns), Number(place.dataset.rows));
  const source = new EventSource(place.dataset.live);
  let drawing = false;
  const draw = () => {
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(() => { drawing = false; shown.textContent = screen.text(); });
  };
  source.addEventListener("open", () => { screen.clear(); draw(); state.textContent = "You are watching."; });
  source.addEventListener("shown", (event) => { screen.write(JSON.parse(event.data)[0]); draw(); });
  source.addEventListener("over", (event) => { source.close(); state.textContent = `It is over: ${JSON.parse(event.data)}`; });
  source.addEventListener("error", () => {
    const isOver = source.readyState === EventSource.CLOSED;
    state.textContent = isOver ? "You are no longer watching. Load the page to see why." : "The connection broke; trying again.";
  });
  place.hidden = false;
}

for (const place of document.querySelectorAll("[data-replay]")) replay(place);
for (const place of document.querySelectorAll("[data-live]")) watch(place);
