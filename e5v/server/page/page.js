// The page of `e5v serve`: searches the server's collection by words, by a picture, by both.

const PAGE_SIZE = 60;
const LARGEST_PICTURE = 20 * 1024 * 1024;

const element = (id) => document.getElementById(id);
const query = { picture: null, item: null };  // picture: a data URL; item: the id of a result
let shown = [];        // results of the last search
let search_number = 0; // an answer of an earlier search is not shown over a later one
let key = sessionStorage.getItem("e5v-key") || "";

class ServerError extends Error {}

async function ask(path, body) {
  const options = { headers: {} };
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
    await ask_for_key();
    return ask(path, body);
  }
  if (!response.ok) {
    const answer = await response.json().catch(() => ({}));
    throw new ServerError(answer.error?.message || `The server answered with ${response.status}.`);
  }
  return response;
}

function ask_for_key() {
  const dialog = element("key-dialog");
  if (!dialog.open) dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", () => {
    key = element("key").value;
    sessionStorage.setItem("e5v-key", key);
    done();
  }, { once: true }));
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
  if (!file) return;
  if (!file.type.startsWith("image/")) return say(`${file.name} is not a picture.`, "bad");
  if (file.size > LARGEST_PICTURE) return say(`${file.name} is too large.`, "bad");
  query.item = null;
  query.picture = await data_url(file);
  show_picture(query.picture);
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
  } catch {
    image.hidden = true;
  }
}

const visible = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    visible.unobserve(entry.target);
    load_image(entry.target, entry.target.dataset.path);
  }
}, { rootMargin: "300px" });

function card(result) {
  const item = element("result").content.cloneNode(true);
  const image = item.querySelector("img");
  const name = result.path.split("/").pop();
  item.querySelector(".score").textContent = result.score.toFixed(3);
  item.querySelector(".name").textContent = name;
  item.querySelector(".words").textContent = result.caption || result.text || "";
  const button = item.querySelector(".result");
  button.title = `${result.path}\nSearch by this`;
  button.addEventListener("click", () => search_by(result, image));
  if (result.image) {
    image.alt = result.caption || name;
    image.hidden = false;
    image.dataset.path = result.image;
    visible.observe(image);
  }
  return item;
}

function show_results() {
  const slider = Number(element("threshold").value) / 100;
  element("threshold-value").textContent = slider ? slider.toFixed(2) : "any score";
  const good = shown.filter((result) => slider === 0 || result.score >= slider);
  element("results").replaceChildren(...good.map(card));
  if (shown.length && !good.length) say(`All ${shown.length} results are below ${slider.toFixed(2)}.`, "hint");
  else if (shown.length) say(`${good.length} ${good.length === 1 ? "result" : "results"}`);
}

function search_by(result, image) {
  query.picture = null;
  query.item = result.id;
  element("text").value = "";
  show_picture(result.image ? image.src : null);
  if (result.image) load_image(element("picture-image"), result.image);
  scrollTo({ top: 0, behavior: "smooth" });
  search();
}

async function search() {
  const text = element("text").value.trim();
  const wanted = { k: PAGE_SIZE };
  if (text) wanted.text = text;
  if (query.picture) wanted.image = query.picture;
  if (query.item !== null) wanted.item = query.item;
  if (!text && !query.picture && query.item === null) return welcome();
  const where = element("where").value.trim();
  if (where) wanted.where = where;
  const number = ++search_number;
  say("Searching …");
  element("progress").hidden = false;
  element("progress").removeAttribute("value");
  try {
    const answer = await (await ask("v1/search", wanted)).json();
    if (number !== search_number) return;
    shown = answer.results;
    show_results();
    if (!shown.length) say("Nothing was found.", "hint");
  } catch (error) {
    if (number !== search_number) return;
    shown = [];
    element("results").replaceChildren();
    say(error.message, "bad");
  } finally {
    if (number === search_number) element("progress").hidden = true;
  }
}

async function add_pictures(files) {
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
  say(`${added} of ${files.length} pictures added. ${failed.join("; ")}`, failed.length ? "bad" : "");
}

async function welcome() {
  element("results").replaceChildren();
  shown = [];
  try {
    const info = await (await ask("v1/collection")).json();
    const count = info.items.toLocaleString();
    say(info.items ? `${count} items. Describe what you look for, drop a picture, or do both.`
                   : "The collection is empty. Add pictures above, or run: e5v index", "hint");
  } catch (error) {
    say(error.message, "bad");
  }
}

element("form").addEventListener("submit", (event) => { event.preventDefault(); search(); });
element("threshold").addEventListener("input", show_results);
element("file").addEventListener("change", (event) => { set_picture(event.target.files[0]); event.target.value = ""; });
element("file-label").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" && event.key !== " ") return;
  event.preventDefault();
  element("file").click();
});
element("picture-remove").addEventListener("click", remove_picture);
element("add").addEventListener("click", () => element("add-files").click());
element("add-files").addEventListener("change", (event) => { add_pictures([...event.target.files]); });
document.addEventListener("dragover", (event) => { event.preventDefault(); element("drop").classList.add("over"); });
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) element("drop").classList.remove("over"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  element("drop").classList.remove("over");
  set_picture(event.dataTransfer.files[0]);
});
document.addEventListener("paste", (event) => set_picture(event.clipboardData.files[0]));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") remove_picture();
  if (event.key === "/" && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) {
    event.preventDefault();
    element("text").focus();
  }
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (step && document.activeElement.classList.contains("result")) {
    const cards = [...document.querySelectorAll(".result")];
    cards[cards.indexOf(document.activeElement) + step]?.focus();
  }
});
welcome();
