"use strict";

const root = document.documentElement;
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
root.dataset.theme = prefersDark.matches ? "dark" : "light";
prefersDark.addEventListener("change", (event) => { root.dataset.theme = event.matches ? "dark" : "light"; });
document.getElementById("theme").addEventListener("click", () => {
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
});

const moments = JSON.parse(document.getElementById("moment-data").textContent);
const player = document.getElementById("filmstrip");
const frame = document.getElementById("player-frame");
const depth = document.getElementById("player-depth");
const play = document.getElementById("play");
const seek = document.getElementById("seek");
const speed = document.getElementById("speed");
const clock = document.getElementById("clock");
let at = 0;
let timer = null;

function show(index) {
  at = Math.min(Math.max(index, 0), moments.length - 1);
  const moment = moments[at];
  depth.src = moment.depth;
  if (frame) {
    frame.style.visibility = moment.frame ? "visible" : "hidden";
    if (moment.frame) frame.src = moment.frame;
  }
  seek.value = at;
  clock.textContent = `${moment.seconds.toFixed(2)} s · median ${moment.median} m`;
  seek.setAttribute("aria-valuetext", clock.textContent);
}

function stop() {
  clearInterval(timer);
  timer = null;
  play.textContent = "Play";
  play.setAttribute("aria-pressed", "false");
}

function start() {
  clearInterval(timer);
  timer = setInterval(() => show((at + 1) % moments.length), 1000 / Number(speed.value));
  play.textContent = "Pause";
  play.setAttribute("aria-pressed", "true");
}

const toggle = () => (timer === null ? start() : stop());
const step = (index) => { stop(); show(index); };
play.addEventListener("click", toggle);
speed.addEventListener("change", () => { if (timer !== null) start(); });
seek.addEventListener("input", () => step(Number(seek.value)));
player.addEventListener("keydown", (event) => {
  if (event.target === speed) return;
  const keys = {
    " ": toggle,
    ArrowRight: () => step(at + 1),
    ArrowLeft: () => step(at - 1),
    Home: () => step(0),
    End: () => step(moments.length - 1),
  };
  if (!(event.key in keys)) return;
  event.preventDefault();
  keys[event.key]();
});
show(0);
