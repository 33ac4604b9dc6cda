// Watches everything that a browser does with the pages, and remembers what must not happen.
//
// Nothing may fail, be refused by the browser's policy, be said on the console, open a dialog or a window, or ask
// another origin for anything. A fault is kept with the page it was on; `check` throws all of them.

/** Kinds of requests that end without an answer when a page is left, or is asked for a file to keep. */
const MAY_BE_LEFT = new Set(["eventsource", "fetch", "document"]);

/** The watch over one browser context. */
export class Guard {
  #faults = [];
  #expected = [];
  #refused = new Map();
  #questions = 0;
  #windows = 1;

  /** Watches a context whose pages are all of one origin. */
  constructor(context, origin) {
    this.origin = origin;
    context.on("page", (page) => this.#page(page));
    context.on("weberror", (error) => this.#note(`an error in a script: ${error.error()}`));
    context.on("console", (message) => this.#console(message));
    context.on("request", (request) => this.#request(request));
    context.on("requestfailed", (request) => this.#failed(request));
    context.on("response", (response) => this.#answered(response));
    context.on("dialog", (dialog) => this.#dialog(dialog));
  }

  /** Says that the next page is refused with this status, which is what the test is about. */
  expect(status) {
    this.#expected.push(status);
  }

  /** Says that the browser asks next whether to leave a page; it stays there. */
  expectQuestion() {
    this.#questions += 1;
  }

  /** Says that a test opens another window. */
  expectWindow() {
    this.#windows += 1;
  }

  /** Throws what must not have happened, or was expected in vain. */
  check() {
    const faults = this.#faults.concat(this.#expected.map((status) => `no page was answered with ${status}`));
    if (this.#questions > 0) faults.push("the browser did not ask whether to leave");
    this.#faults = [];
    this.#expected = [];
    this.#questions = 0;
    if (faults.length > 0) throw new Error(`the browser noticed:\n  ${faults.join("\n  ")}`);
  }

  #note(fault) {
    this.#faults.push(fault);
  }

  #dialog(dialog) {
    if (dialog.type() === "beforeunload" && this.#questions > 0) this.#questions -= 1;
    else this.#note(`a dialog: ${dialog.message()}`);
    dialog.dismiss().catch(() => {});
  }

  #page(page) {
    if (page.context().pages().length > this.#windows) this.#note(`a window: ${page.url()}`);
    page.on("websocket", (socket) => this.#note(`a socket: ${socket.url()}`));
    page.on("crash", () => this.#note(`the page crashed: ${page.url()}`));
  }

  #console(message) {
    const kind = message.type();
    const { url } = message.location();
    // Chromium says of each page that was refused that it was; the answer is looked at below.
    const refused = message.text().startsWith("Failed to load resource: the server responded");
    if ((kind === "error" || kind === "warning") && !refused) this.#note(`${kind} on ${url}: ${message.text()}`);
  }

  #request(request) {
    const url = new URL(request.url());
    const own = url.origin === this.origin || url.protocol === "data:" || url.protocol === "blob:";
    if (!own) this.#note(`asked another origin: ${request.url()}`);
  }

  #failed(request) {
    const why = request.failure()?.errorText;
    const asked = MAY_BE_LEFT.has(request.resourceType()) || request.url() === `${this.origin}/ui/icon.svg`;
    const left = why === "net::ERR_ABORTED" && asked;
    if (!left) this.#note(`no answer (${why}): ${request.url()}`);
  }

  #answered(response) {
    const [status, url] = [response.status(), response.url()];
    const page = response.request().resourceType() === "document";
    if (page && url.startsWith(`${this.origin}/ui`) && !response.headers()["content-security-policy"]) {
      this.#note(`a page without a policy: ${url}`);
    }
    if (status < 400) return;
    const expected = page ? this.#expected.indexOf(status) : -1;
    if (expected >= 0) {
      this.#expected.splice(expected, 1);
      this.#refused.set(url, status);
    } else if (this.#refused.get(url) === status) {
      // A page that was refused asks for itself again when something changed.
    } else this.#note(`answered with ${status}: ${url}`);
  }
}
