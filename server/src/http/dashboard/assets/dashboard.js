// What pages do by themselves. Everything works without; the attributes are explained in assets.rs.
"use strict";

const BY_ITSELF = { "sikkerkey-by-itself": "1" };
const each = (root, selector, act) => root.querySelectorAll(selector).forEach(act);
const read = async (response) => new DOMParser().parseFromString(await response.text(), "text/html");

// Instants in the viewer's zone; UTC stays on hover.
const zone = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
function dress(root) {
  each(root, "time[datetime]", (it) => {
    const at = new Date(it.dateTime);
    if (!Number.isNaN(at.getTime())) it.textContent = zone.format(at);
  });
  each(root, "button[data-copy]", (it) => { it.hidden = false; });
  count();
}

function count() {
  each(document, "[data-until]", (it) => {
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

// Asks for this page without using the session. Nothing: it could not be had.
async function ask() {
  const response = await fetch(location.href, { headers: BY_ITSELF, cache: "no-store" }).catch(() => null);
  if (response?.status === 401) leave();
  if (!response?.ok) return null;
  const page = await read(response);
  document.body.dataset.ends = page.body.dataset.ends ?? "";
  return page;
}

// Parts that are asked for again while somebody looks.
function live() {
  const parts = [...document.querySelectorAll("[data-live][id]")];
  if (parts.length === 0) return;
  const seconds = Math.min(...parts.map((it) => Number(it.dataset.live) || 5));
  setTimeout(async () => {
    if (!document.hidden) {
      const page = await ask();
      if (page) replace(page, document.querySelectorAll("[data-live][id]"));
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

// Forms that ask: while one types.
let typed;
document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-filter]");
  if (!form) return;
  clearTimeout(typed);
  typed = setTimeout(async () => {
    const fields = [...new FormData(form)].filter(([, value]) => value !== "");
    const address = `${form.action.split("?")[0]}?${new URLSearchParams(fields)}`;
    const response = await fetch(address, { cache: "no-store" }).catch(() => null);
    if (!response?.ok) return;
    history.replaceState(null, "", address);
    const target = document.getElementById(form.dataset.filter);
    if (target) replace(await read(response), [target]);
  }, 250);
});

// Forms that change something: a refusal stands where it was typed.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.method !== "post" || form.dataset.plain !== undefined) return;
  event.preventDefault();
  const button = event.submitter;
  if (button?.ariaBusy === "true") return;
  if (button) button.ariaBusy = "true";
  const action = button?.hasAttribute("formaction") ? button.formAction : form.action;
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

dress(document);
setInterval(count, 1000);
live();
watch();
