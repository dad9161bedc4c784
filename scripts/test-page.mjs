// What test-page.sh runs: the page as a user uses it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import puppeteer from "puppeteer-core";

const [port, port_with_key, executablePath, picture] = process.argv.slice(2);
const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox"] });
const page = await browser.newPage();
const problems = [];
page.on("pageerror", (error) => problems.push(error.message));
page.on("console", (message) => { if (message.type() === "error") problems.push(message.text()); });

const status = () => page.$eval("#status", (element) => element.textContent);
const cards = () => page.$$eval(".result", (elements) => elements.length);
const until = (test) => page.waitForFunction(test, { timeout: 20_000 });
const results = () => until("document.querySelectorAll('.result').length > 0 && document.querySelector('#progress').hidden");
const pictures = () => until("[...document.querySelectorAll('.result img')].every((image) => image.complete && image.naturalWidth > 0)");
const shot = (name) => page.screenshot({ path: `${name}.png` });

await page.setViewport({ width: 1200, height: 800 });
await page.goto(`http://127.0.0.1:${port}/`);
await until("document.querySelector('#status').textContent.includes('items')");
await shot("start");

// Typing.
await page.type("#text", "the sun goes down over the sea");
await page.keyboard.press("Enter");
await results();
await pictures();
assert.ok(await cards() > 1);
assert.equal(await page.title(), "the sun goes down over the sea – e5v");
await shot("words");

// A look at a picture, by keyboard: it opens large, and Escape goes back to the results.
await page.focus(".result");
await page.keyboard.press("Tab");
await page.keyboard.press("Enter");
await until("document.querySelector('#view').open && document.querySelector('#view-image').naturalWidth > 0");
assert.match(await page.$eval("#view-name", (element) => element.textContent), /examples\/pictures\//);
await shot("view");
await page.keyboard.press("Escape");
await until("!document.querySelector('#view').open");
assert.ok(await cards() > 1);

// The threshold.
await page.$eval("#threshold", (element) => { element.value = 100; element.dispatchEvent(new Event("input")); });
assert.equal(await cards(), 0);
assert.match(await status(), /below 1\.00/);
await shot("threshold");
await page.$eval("#threshold", (element) => { element.value = 0; element.dispatchEvent(new Event("input")); });

// Dropping a picture; then the picture with words.
await page.$eval("#text", (element) => { element.value = ""; });
await page.evaluate((base64, name) => {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
  document.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
}, readFileSync(picture).toString("base64"), basename(picture));
await until("!document.querySelector('#picture').hidden");
await results();
assert.match(await page.$eval(".result", (element) => element.title), new RegExp(basename(picture)));
assert.equal(await page.$eval(".result .score", (element) => element.textContent), "1.000");
await page.type("#text", "in winter");
await page.click("#go");
await results();
await pictures();
assert.ok(await cards() > 1);
await shot("composed");

// A click on a result searches by it.
const second = await page.$$eval(".result", (elements) => elements[1].title);
await page.$$eval(".result", (elements) => elements[1].click());
await until(`document.querySelector('.result')?.title === ${JSON.stringify(second)}`);
assert.equal(await page.$eval("#text", (element) => element.value), "");

// Back is the search before: the dropped picture with its words; forward the item again.
await page.goBack();
await until("document.querySelector('#text').value === 'in winter'");
await results();
assert.equal(await page.$eval("#picture", (element) => element.hidden), false);
await page.goForward();
await until("document.querySelector('#text').value === ''");
await results();

// The address alone is enough to see a search again.
await page.reload();
await results();
assert.match(page.url(), /#item=\d+$/);
await until("!document.querySelector('#picture').hidden");

// By keyboard alone.
await page.focus(".result");
await page.keyboard.press("ArrowRight");
assert.equal(await page.evaluate(() => [...document.querySelectorAll(".result")].indexOf(document.activeElement)), 1);
await page.keyboard.press("/");
assert.equal(await page.evaluate(() => document.activeElement.id), "text");

// A wrong filter is explained.
await page.type("#text", "sea");
await page.type("#where", "color = 'red'");
await page.keyboard.press("Enter");
await until("document.querySelector('#status').className === 'bad'");
assert.match(await status(), /there is no field 'color'/);
await shot("error");
await page.$eval("#where", (element) => { element.value = "path LIKE 'no such'"; });
await page.click("#go");
await until("document.querySelector('#status').textContent.includes('Nothing')");
await shot("nothing");
await page.$eval("#where", (element) => { element.value = ""; });
await page.click("#go");
await results();

// What is not a picture, and what is not a file.
const drop = (files) => page.evaluate((files) => {
  const transfer = new DataTransfer();
  for (const [name, type] of files) transfer.items.add(new File(["x"], name, { type }));
  document.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
}, files);
await drop([["letter.txt", "text/plain"]]);
assert.equal(await status(), "letter.txt is not a picture.");
await drop([]);
assert.match(await status(), /Only files/);
await drop([["broken.png", "image/png"]]);
await until("document.querySelector('#status').className === 'bad' && document.querySelector('#progress').hidden");
assert.match(await status(), /image/);
await page.keyboard.press("Escape");
assert.equal(await page.$eval("#picture", (element) => element.hidden), true);

// Adding: one picture that is one, one that is none.
const add = await page.$("#add-files");
await add.uploadFile(picture, process.argv[1]);
await until("/1 of 2 pictures added/.test(document.querySelector('#status').textContent)");
await shot("added");
await page.click("#go");
await results();

// Dark, and a phone.
await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
await pictures();
await shot("dark");
await page.setViewport({ width: 390, height: 844, isMobile: true });
await results();  // a phone's page is loaded anew, and its address says what was searched for
await pictures();
await shot("phone-dark");
await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "light" }]);
await shot("phone");
const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
assert.ok(overflow <= 0, `the page is ${overflow} pixels wider than a phone`);

// A server that wants a key: no key, a wrong one, the right one.
await page.goto(`http://127.0.0.1:${port_with_key}/`);
await until("document.querySelector('#key-dialog').open");
await page.keyboard.press("Escape");
await until("/only with its API key/.test(document.querySelector('#status').textContent)");
await page.reload();
const give_key = async (key) => {
  await until("document.querySelector('#key-dialog').open");
  await page.type("#key", key);
  await page.keyboard.press("Enter");
};
await give_key("wrong");
await until("!document.querySelector('#key-wrong').hidden");
await shot("key");
await give_key("secret");
await until("/items/.test(document.querySelector('#status').textContent)");
await page.type("#text", "a ball");
await page.keyboard.press("Enter");
await results();
await pictures();

// The browser itself reports the answers 400 of what was wrong above, and 401.
assert.deepEqual(problems.filter((problem) => !/400 \(Bad Request\)|401 \(Unauthorized\)/.test(problem)), []);
await browser.close();
console.log("the page works; screenshots are in build/page/");
