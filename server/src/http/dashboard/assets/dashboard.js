// What pages do by themselves. Everything works without; the attributes are explained in assets.rs.
"use strict";

const BY_ITSELF = { "sikkerkey-by-itself": "1" };
const each = (root, selector, act) => root.querySelectorAll(selector).forEach(act);
const read = async (response) => new DOMParser().parseFromString(await response.text(), "text/html");

// A field may be called action, and then `form.action` is that field.
const addressOf = (form) => form.getAttribute("action");

// Instants in the viewer's zone; UTC stays on hover.
const zone = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
function dress(root) {
  each(root, "time[datetime]", (it) => {
    const at = new Date(it.dateTime);
    if (!Number.isNaN(at.getTime())) it.textContent = zone.format(at);
  });
  each(root, "button[data-copy]", (it) => { it.hidden = false; });
  count(root);
}

function count(root = document) {
  each(root, "[data-until]", (it) => {
    const left = Math.max(0, Math.round((Number(it.dataset.until) - Date.now()) / 1000));
    const text = left === 0 ? "over" : `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    if (it.textContent !== text) it.textContent = text;
  });
}

// Takes parts of another answer of the same page.
function replace(page, elements) {
  for (const old of elements) {
    const fresh = page.getElementById(old.id);
    if (!fresh || old.contains(document.activeElement) && document.activeElement !== document.body) continue;
    dress(fresh);
    if (fresh.innerHTML !== old.innerHTML) old.replaceChildren(...fresh.childNodes);
  }
}

function leave() {
  const next = encodeURIComponent(location.pathname + location.search);
  location.replace(`/login?said=session-ended&next=${next}`);
}

// Asks for this page, or another, without using the session. Nothing: it could not be had.
async function ask(address = location.href) {
  const response = await fetch(address, { headers: BY_ITSELF, cache: "no-store" }).catch(() => null);
  if (response?.status === 401) leave();
  if (!response?.ok) return null;
  const page = await read(response);
  document.body.dataset.ends = page.body.dataset.ends ?? "";
  return page;
}

// Parts that are asked for again while somebody looks, each address once.
let next;
function live() {
  clearTimeout(next);
  const parts = [...document.querySelectorAll("[data-live][id]")];
  if (parts.length === 0) return;
  const seconds = Math.min(...parts.map((it) => Number(it.dataset.live) || 5));
  next = setTimeout(async () => {
    for (const from of document.hidden ? [] : new Set(parts.map((it) => it.dataset.from))) {
      const at = location.href;
      const page = await ask(from);
      // Meanwhile something else was asked for.
      if (location.href !== at) break;
      // What one is about to press stays where it is.
      const isPressed = (it) => it.querySelector("button:hover, .button:hover");
      if (page) replace(page, parts.filter((it) => it.dataset.from === from && it.isConnected && !isPressed(it)));
    }
    live();
  }, seconds * 1000);
}

// The page closes itself when the session has ended, which another page may have put off.
async function watch() {
  const ends = Number(document.body.dataset.ends);
  if (!ends) return;
  if (ends - Date.now() <= 0) await ask();
  setTimeout(watch, 15000);
}

// Forms that ask: while one types, and by their buttons. Only the last answer counts.
let typed;
let asked = 0;
async function filter(form, button) {
  clearTimeout(typed);
  const mine = ++asked;
  const fields = [...new FormData(form, button)].filter(([, value]) => value !== "");
  const address = `${addressOf(form).split("?")[0]}?${new URLSearchParams(fields)}`;
  const response = await fetch(address, { cache: "no-store" }).catch(() => null);
  if (mine !== asked) return;
  if (!response?.ok) return button && location.assign(address);
  history.replaceState(null, "", address);
  const parts = form.dataset.filter.split(" ").map((id) => document.getElementById(id)).filter(Boolean);
  const part = parts.find((it) => it.contains(button));
  const place = part ? [...part.querySelectorAll("button")].indexOf(button) : -1;
  if (part) button.blur();
  replace(await read(response), parts);
  if (!part) return;
  // Whoever goes from row to row with the keyboard stays where they were.
  const buttons = part.querySelectorAll("button");
  (buttons[Math.min(place, buttons.length - 1)] ?? form.querySelector("input[type=search]"))?.focus();
}

document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-filter]");
  // What is ticked in a part waits for a button.
  if (!form || form.dataset.filter.split(" ").some((id) => document.getElementById(id)?.contains(event.target))) return;
  clearTimeout(typed);
  typed = setTimeout(() => filter(form), 250);
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.filter === undefined) return;
  event.preventDefault();
  filter(form, event.submitter);
});

// Forms that are checked while one types: what is said to them stands beside what is typed.
let checking, checks = 0;
document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-check]");
  if (!form) return;
  clearTimeout(checking);
  checking = setTimeout(async () => {
    const mine = ++checks;
    const response = await fetch(form.dataset.check, { method: "POST", body: new URLSearchParams(new FormData(form)) }).catch(() => null);
    if (response?.status === 401) return leave();
    if (!response?.ok || mine !== checks || !form.isConnected) return;
    replace(await read(response), form.querySelectorAll("[data-checked][id]"));
    each(form, ".error[id]", (it) => {
      const field = document.getElementById(it.id.replace(/-error$/, ""));
      if (field?.matches("input, select")) field.ariaInvalid = it.textContent === "" ? null : "true";
    });
  }, 400);
});

// Forms that change something: a refusal stands where it was typed.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.getAttribute("method") !== "post" || form.dataset.plain !== undefined) return;
  event.preventDefault();
  const button = event.submitter;
  if (button?.ariaBusy === "true") return;
  if (button) button.ariaBusy = "true";
  const action = button?.hasAttribute("formaction") ? button.formAction : addressOf(form);
  const body = new URLSearchParams(new FormData(form, button));
  const response = await fetch(action, { method: "POST", body }).catch(() => null);
  if (button) button.ariaBusy = "false";
  each(form, ".notice.bad", (it) => it.remove());
  if (!response) return refuse(form, "The server was not reached: nothing is known to be done. Try again.");
  if (response.redirected) return location.assign(response.url);
  const page = await read(response);
  const refusal = page.getElementById("refusal");
  if (!response.ok) return refuse(form, refusal?.textContent ?? "This was not done.");
  document.title = page.title;
  dress(page);
  document.getElementById("main").replaceWith(page.getElementById("main"));
  document.getElementById("main").focus();
  live();
});

function refuse(form, text) {
  const notice = document.createElement("p");
  notice.className = "notice bad";
  notice.setAttribute("role", "alert");
  notice.textContent = text;
  form.prepend(notice);
  form.querySelector("input[type=password]")?.select();
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (button) {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent).then(
      () => { button.textContent = "Copied"; },
      () => { button.textContent = "Select it and copy"; },
    );
  }
  each(document, "details.menu[open]", (it) => { if (!it.contains(event.target)) it.open = false; });
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") each(document, "details.menu[open]", (it) => { it.open = false; it.querySelector("summary").focus(); });
  const isTyping = event.target.closest("input, textarea, select, [contenteditable]");
  const search = document.querySelector("input[type=search]");
  if (event.key === "/" && !isTyping && search) { event.preventDefault(); search.focus(); }
});

// A page that comes back from the browser's memory is not what it was, and may not be the viewer's any more.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

// What is typed as a time is meant in the viewer's zone.
each(document, "input[data-zone]", (it) => { it.value = zone.resolvedOptions().timeZone; });
dress(document);
setInterval(() => count(), 1000);
live();
watch();
