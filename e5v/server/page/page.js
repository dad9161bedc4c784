// The page of `e5v serve`: searches the server's collection by words, by a picture, by both.

const PAGE_SIZE = 60;
const MOST_RESULTS = 1000;  // what the server gives at the most
const LARGEST_PICTURE = 20 * 1024 * 1024;

const element = (id) => document.getElementById(id);
const query = { picture: null, item: null };  // picture: its number in `pictures`; item: the id of a result
const pictures = [];   // data URLs of what was dropped or chosen
let limit = PAGE_SIZE; // results that are asked for
let shown = [];        // results of the last search
let search_number = 0; // an answer of an earlier search is not shown over a later one
let key = sessionStorage.getItem("e5v-key") || "";
let asking_for_key = null;

class ServerError extends Error {}

async function ask(path, body) {
  const options = { headers: {} };
  const used_key = key;
  if (key) options.headers.Authorization = `Bearer ${key}`;
  if (body) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new ServerError("The server does not answer. Is it still running?");
  }
  if (response.status === 401) {
    if (used_key === key) await ask_for_key();  // else another request has asked meanwhile
    return ask(path, body);
  }
  if (!response.ok) {
    const answer = await response.json().catch(() => ({}));
    throw new ServerError(answer.error?.message || `The server answered with ${response.status}.`);
  }
  return response;
}

// One dialog, however many requests wait for the key.
function ask_for_key() {
  const dialog = element("key-dialog");
  asking_for_key ??= new Promise((done, failed) => {
    element("key-wrong").hidden = !key;
    element("key").value = "";
    dialog.returnValue = "";
    dialog.showModal();
    dialog.addEventListener("close", () => {
      asking_for_key = null;
      if (dialog.returnValue !== "ok") return failed(new ServerError("This server answers only with its API key."));
      key = element("key").value;
      sessionStorage.setItem("e5v-key", key);
      done();
    }, { once: true });
  });
  return asking_for_key;
}

function say(text, kind = "") {
  const status = element("status");
  status.textContent = text;
  status.className = kind;
}

function data_url(file) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.onerror = () => failed(new ServerError(`${file.name} cannot be read.`));
    reader.readAsDataURL(file);
  });
}

function show_picture(url) {
  element("picture").hidden = !url;
  if (url) element("picture-image").src = url;
  element("text").placeholder = url ? "This picture, but …" : "Describe a picture, or drop one here";
}

async function set_picture(file) {
  if (!file.type.startsWith("image/")) return say(`${file.name} is not a picture.`, "bad");
  if (file.size > LARGEST_PICTURE) {
    return say(`${file.name} is too large: at most ${LARGEST_PICTURE >> 20} MB are taken.`, "bad");
  }
  try {
    pictures.push(await data_url(file));
  } catch (error) {
    return say(error.message, "bad");
  }
  query.item = null;
  query.picture = pictures.length - 1;
  show_picture(pictures[query.picture]);
  search();
}

function remove_picture() {
  query.picture = query.item = null;
  show_picture(null);
  element("text").focus();
}

// The pictures need the key as a header, which an <img> cannot send.
async function load_image(image, path) {
  try {
    const blob = await (await ask(path)).blob();
    image.src = URL.createObjectURL(blob);
    image.onload = () => URL.revokeObjectURL(image.src);
    image.hidden = false;
    return true;
  } catch {
    image.hidden = true;
    return false;
  }
}

const visible = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    visible.unobserve(entry.target);
    const missing = entry.target.nextElementSibling;
    load_image(entry.target, entry.target.dataset.path).then((loaded) => { missing.hidden = loaded; });
  }
}, { rootMargin: "300px" });

const name_of = (result) => result.path.split("/").pop();

function card(result) {
  const item = element("result").content.cloneNode(true).firstElementChild;
  const image = item.querySelector("img");
  item.querySelector(".score").textContent = result.score.toFixed(3);
  item.querySelector(".name").textContent = name_of(result);
  item.querySelector(".words").textContent = result.caption || result.text || "";
  const button = item.querySelector(".result");
  button.title = `${result.path}\nSearch by this`;
  button.addEventListener("click", () => search_by(result));
  item.querySelector(".view").addEventListener("click", () => view(result));
  if (result.image) {
    image.alt = result.caption || name_of(result);
    image.hidden = false;
    image.dataset.path = result.image;
    visible.observe(image);
  }
  return item;
}

function show_results() {
  const least = Number(element("threshold").value) / 100;
  element("threshold-value").textContent = least ? `Score ≥ ${least.toFixed(2)}` : "Any score";
  const good = shown.filter((result) => least === 0 || result.score >= least);
  element("results").replaceChildren(...good.map((result) => result.card ??= card(result)));
  element("more").hidden = shown.length < limit || limit >= MOST_RESULTS || good.length < shown.length;
  if (shown.length && !good.length) {
    say(`All ${shown.length} results are below ${least.toFixed(2)}; the best has ${shown[0].score.toFixed(2)}.`, "hint");
  } else if (shown.length) {
    say(`${good.length} ${good.length === 1 ? "result" : "results"}, best first`);
  }
}

function search_by(result) {
  query.picture = null;
  query.item = result.id;
  element("text").value = "";
  show_item_picture(result.image);
  scrollTo({ top: 0, behavior: "smooth" });
  search();
}

// A result's picture in the search box; a text has none, and is searched by all the same.
async function show_item_picture(path) {
  show_picture(null);
  if (path && await load_image(element("picture-image"), path)) show_picture(element("picture-image").src);
}

function view(result) {
  const dialog = element("view");
  element("view-name").textContent = `${result.score.toFixed(3)}  ${result.path}`;
  element("view-caption").textContent = result.caption || result.text || "";
  element("view-image").alt = result.caption || name_of(result);
  element("view-image").hidden = true;
  if (result.image) load_image(element("view-image"), result.image);
  dialog.returnValue = "";
  dialog.showModal();
  dialog.onclose = () => { if (dialog.returnValue === "search") search_by(result); };
}

// The address names the search, so that it can be kept, and the browser's "back" goes to the one before.
function remember() {
  const parts = new URLSearchParams();
  const text = element("text").value.trim(), where = element("where").value.trim();
  if (text) parts.set("text", text);
  if (query.item !== null) parts.set("item", query.item);
  if (query.picture !== null) parts.set("picture", query.picture);
  if (where) parts.set("where", where);
  const address = parts.size ? `#${parts}` : location.pathname;
  if (address !== (location.hash || location.pathname)) history.pushState(null, "", address);
}

function recall() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const number = (name) => /^\d{1,15}$/.test(parts.get(name) ?? "") ? Number(parts.get(name)) : null;
  element("text").value = parts.get("text") ?? "";
  element("where").value = parts.get("where") ?? "";
  query.item = number("item");
  query.picture = number("picture") < pictures.length ? number("picture") : null;
  if (query.item !== null) show_item_picture(`v1/items/${query.item}/image`);
  else show_picture(query.picture === null ? null : pictures[query.picture]);
  search({ again: true });
}

async function search({ again = false, more = false } = {}) {
  const text = element("text").value.trim();
  const where = element("where").value.trim();
  limit = more ? Math.min(limit + PAGE_SIZE, MOST_RESULTS) : PAGE_SIZE;
  const wanted = { k: limit };
  if (text) wanted.text = text;
  if (query.picture !== null) wanted.image = pictures[query.picture];
  if (query.item !== null) wanted.item = query.item;
  if (where) wanted.where = where;
  const number = ++search_number;
  if (!again && !more) remember();
  document.title = text ? `${text} – e5v` : "e5v";
  if (!text && query.picture === null && query.item === null) return welcome();
  say("Searching …");
  element("progress").hidden = false;
  element("progress").removeAttribute("value");
  try {
    const answer = await (await ask("v1/search", wanted)).json();
    if (number !== search_number) return;
    const known = more ? new Map(shown.map((result) => [result.id, result.card])) : new Map();
    shown = answer.results;
    for (const result of shown) result.card = known.get(result.id);
    show_results();
    if (!shown.length) say(where ? "Nothing passes the filter." : "Nothing was found.", "hint");
  } catch (error) {
    if (number !== search_number) return;
    shown = [];
    show_results();
    say(error.message, "bad");
  } finally {
    if (number === search_number) element("progress").hidden = true;
  }
}

async function add_pictures(files) {
  if (!files.length) return;
  const bar = element("progress");
  let done = 0;
  const failed = [];
  bar.hidden = false;
  bar.max = files.length;
  for (const file of files) {
    bar.value = done;
    say(`Adding ${file.name} (${done + 1} of ${files.length}) …`);
    try {
      const image = await data_url(file);
      await ask("v1/index", { documents: [{ id: file.name, image }] });
    } catch (error) {
      failed.push(`${file.name}: ${error.message}`);
    }
    ++done;
  }
  bar.hidden = true;
  const added = files.length - failed.length;
  const noun = files.length === 1 ? "picture" : "pictures";
  say(`${added} of ${files.length} ${noun} added. ${failed.join("; ")}`, failed.length ? "bad" : "");
}

async function welcome() {
  const number = search_number;
  shown = [];
  show_results();
  element("progress").hidden = true;
  try {
    const info = await (await ask("v1/collection")).json();
    if (number !== search_number) return;
    const count = info.items === 1 ? "1 item" : `${info.items.toLocaleString()} items`;
    say(info.items ? `${count}. Describe what you look for, drop a picture, or do both.`
                   : "The collection is empty. Add pictures above, or run: e5v index", "hint");
  } catch (error) {
    if (number === search_number) say(error.message, "bad");
  }
}

element("form").addEventListener("submit", (event) => { event.preventDefault(); search(); });
element("threshold").addEventListener("input", show_results);
element("more").addEventListener("click", () => search({ more: true }));
element("file").addEventListener("change", (event) => {
  if (event.target.files.length) set_picture(event.target.files[0]);
  event.target.value = "";
});
element("file-label").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" && event.key !== " ") return;
  event.preventDefault();
  element("file").click();
});
element("picture-remove").addEventListener("click", remove_picture);
element("add").addEventListener("click", () => element("add-files").click());
element("add-files").addEventListener("change", (event) => {
  add_pictures([...event.target.files]);
  event.target.value = "";
});
addEventListener("popstate", recall);
document.addEventListener("dragover", (event) => { event.preventDefault(); element("drop").classList.add("over"); });
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) element("drop").classList.remove("over"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  element("drop").classList.remove("over");
  if (event.dataTransfer.files.length) set_picture(event.dataTransfer.files[0]);
  else say("Only files can be dropped here; save the picture first.", "bad");
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) set_picture(event.clipboardData.files[0]);
});
document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  const here = document.activeElement;
  if (event.key === "Escape" && !element("picture").hidden) remove_picture();
  if (event.key === "/" && !/^(INPUT|TEXTAREA)$/.test(here.tagName)) {
    event.preventDefault();
    element("text").focus();
  }
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (step && here.classList.contains("result")) {
    const cards = [...document.querySelectorAll(".result")];
    cards[cards.indexOf(here) + step]?.focus();
  }
});
recall();
