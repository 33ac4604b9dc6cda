// Texts that want to be more than text, and what would show that one of them is.
//
// Whatever runs sets `globalThis.ran`; whatever becomes an element has `data-injected`; whatever is fetched is asked of
// `elsewhere.example`, which the guard sees.

const RUN = "globalThis.ran='yes'";

/** Wishes to run, to be an element, or to fetch. */
export const PAYLOADS = [
  `</script><script data-injected>${RUN}</script>`,
  `<img data-injected src=x onerror="${RUN}">`,
  `"><svg data-injected onload="${RUN}"><animate attributeName=x dur=1s onbegin="${RUN}"/></svg>`,
  `' autofocus onfocus='${RUN}' x='`,
  `</title></textarea></style><script data-injected>${RUN}</script>`,
  `--><iframe data-injected srcdoc="<script>parent.ran='yes'</script>"></iframe>`,
  `]]><a data-injected href="javascript:${RUN}">x</a>`,
  `javascript:${RUN}`,
  `[link](javascript:${RUN}) ![image](http://elsewhere.example/image.png)`,
  `<link data-injected rel=stylesheet href=//elsewhere.example/style.css>`,
  `<meta data-injected http-equiv=refresh content="0;url=http://elsewhere.example/">`,
  `<base data-injected href=http://elsewhere.example/><form data-injected action=//elsewhere.example>`,
  "{{constructor.constructor('globalThis.ran=1')()}} ${globalThis.ran=1} #{7*7} <%= 7*7 %> {% for x in y %}",
  '=HYPERLINK("http://elsewhere.example/","x")',
  "&lt;script&gt; &#60;script&#62; &amp;amp; %3Cscript%3E \\u003cscript\\u003e",
];

/** Characters that nobody sees, as they are found in texts and as pages must show them. */
export const UNSEEN = {
  "\u{202e}": "U+202E",
  "\u{2066}": "U+2066",
  "\u{200b}": "U+200B",
  "\u{feff}": "U+FEFF",
  "\u{ad}": "U+00AD",
  "\u{2028}": "U+2028",
  "\u{1b}": "U+001B",
  "\u{e0041}": "U+E0041",
};
const UNSEEN_TEXT = `a${Object.keys(UNSEEN).join("b")}[31mred`;

/** A message with all of them. */
export const UNSEEN_MESSAGE = `Please ${Object.keys(UNSEEN).join(" ")} now`;
/** Everything at once, as one text. */
export const EVERYTHING = [...PAYLOADS, UNSEEN_TEXT].join("\n");
/** A text that is very long, and one long word. */
export const LONG = `${EVERYTHING}\n${"All work and no play. ".repeat(6_500)}\n${"w".repeat(8_000)}`;

/** Names that no new prompt may have, although they hold neither `@`, `\`, `|` nor controls. */
export const REFUSED_NAMES = [
  `<script data-injected>${RUN}</script>`,
  `<img data-injected src=x onerror=${RUN}>`,
  `"><svg data-injected onload=${RUN}>`,
  `' onmouseover='${RUN}`,
  `javascript:${RUN}`,
  "{{7*7}}${7*7}<%=7*7%>",
  "\u{5d0}\u{5d1}gpj.exe\u{5d2}",
  "\u{202e}gpj.exe",
  "%2e%2e/..%2f?version=1&at=x#live;a=b+c",
].map((name) => `hostile/${name}`);

/** Names of the prompts that hold all this: whatever a name can be, and the longest. */
export const NAMES = ["script", "onerror", "a.b", "_", "javascript", "7-7", "gpj.exe", "2e/2f", "w".repeat(180)].map(
  (name) => `hostile/${name}`,
);

/** A content with a wish in every place that takes a text. */
export const CONTENT = {
  syntax: "mustache",
  messages: [
    { role: "system", content: EVERYTHING.replaceAll("{{", "{ {") },
    {
      role: "user",
      name: PAYLOADS[1].slice(0, 60),
      content: [
        { type: "text", text: UNSEEN_TEXT },
        { type: "image", url: `javascript:${RUN}` },
        { type: "image", url: "http://elsewhere.example/image.png" },
      ],
    },
    {
      role: "assistant",
      content: PAYLOADS[0],
      tool_calls: [{ id: PAYLOADS[1], function: { name: PAYLOADS[2], arguments: EVERYTHING } }],
    },
    { role: "tool", tool_call_id: PAYLOADS[1], content: PAYLOADS[2] },
  ],
  model: { name: PAYLOADS[1], parameters: { [PAYLOADS[2]]: PAYLOADS[0] } },
  tools: [{ type: "function", function: { name: PAYLOADS[1], description: EVERYTHING } }],
  response_schema: { description: PAYLOADS[0] },
  config: { [PAYLOADS[1]]: EVERYTHING },
};

/** What a page of the program is made of; anything else came from a text. */
const ELEMENTS =
  `html head meta title link script style body a abbr aside b br button caption code datalist dd del details
  div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 header i input ins kbd label legend li main mark meter nav ol
  optgroup option output p path pre progress q rect line circle g section select small span strong summary svg table
  tbody td text textarea th thead time tr ul use var polyline polygon tspan`.split(/\s+/);

/**
 * Runs in a browser: what is wrong with a document, or with the page itself where no HTML is given. Where HTML is given
 * it is only read: nothing of it runs.
 */
export function wrongs({ html, elements, report }) {
  const page = html === undefined ? document : new DOMParser().parseFromString(html, "text/html");
  const wrong = [];
  const hidden =
    /[\u{0}-\u{8}\u{b}-\u{1f}\u{7f}-\u{9f}\u{ad}\u{61c}\u{180e}\u{200b}-\u{200f}\u{2028}-\u{202e}\u{2060}-\u{206f}\u{feff}\u{fff9}-\u{fffb}\u{e0000}-\u{e007f}]/u;
  const shown = (text) => JSON.stringify(text.slice(0, 100));
  if (globalThis.ran) wrong.push("a text ran");
  for (const element of page.querySelectorAll("*")) {
    const here = shown(element.outerHTML);
    if (element.hasAttribute("data-injected")) wrong.push(`a text became an element: ${here}`);
    if (!elements.includes(element.localName)) wrong.push(`no page has this element: ${here}`);
    for (const { name, value } of element.attributes) {
      if (name.startsWith("on") || name === "srcdoc" || (name === "style" && !report)) wrong.push(`${name} on ${here}`);
      const leads = ["href", "src", "action", "formaction"].includes(name);
      if (leads && !/^(\/(?!\/)|\?|#|$)/.test(value)) wrong.push(`${name} leads away: ${here}`);
      // What a form sends back is what it was given; everything else is read by people.
      const sent = element.localName === "input" && element.type === "hidden";
      if (!sent && !leads && hidden.test(value)) wrong.push(`an unseen character in ${name} of ${here}`);
    }
  }
  const scripts = page.querySelectorAll("script").length;
  if (scripts !== (report ? 0 : 1)) wrong.push(`${scripts} scripts`);
  const texts = page.createTreeWalker(page, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const { data, parentElement } = texts.currentNode;
    if (hidden.test(data) && parentElement.localName !== "style") wrong.push(`an unseen character in ${shown(data)}`);
  }
  return [...new Set(wrong)].slice(0, 8);
}

/** What `wrongs` is asked with. */
export const question = (more = {}) => ({ elements: ELEMENTS, report: false, ...more });
