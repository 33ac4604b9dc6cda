// What has the keyboard's focus, and whether somebody who looks can tell.

/** Least contrast of a focus ring with what is around it (WCAG 2.2, 1.4.11). */
const CONTRAST_MIN = 3;

/** Runs in the page: what is wrong with how the focused control shows that it is focused; nothing where all is well. */
function faultOfFocus(contrastMin) {
  const element = document.activeElement;
  const numbers = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
  const luminance = (colour) => {
    const [red, green, blue] = numbers(colour).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const opaque = (colour) => numbers(colour).length === 3 || numbers(colour)[3] === 1;
  const behind = (from) => {
    for (let around = from; around; around = around.parentElement) {
      const colour = getComputedStyle(around).backgroundColor;
      if (opaque(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const contrast = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const style = getComputedStyle(element);
  // A bar of the picture shows its focus by its own outline.
  const drawn = element.querySelector?.(":scope > rect");
  const ring = drawn ? getComputedStyle(drawn).stroke : style.outlineColor;
  const width = parseFloat(drawn ? getComputedStyle(drawn).strokeWidth : style.outlineWidth);
  if (ring === "none" || (!drawn && style.outlineStyle === "none") || width < 2) return "no ring is drawn";
  if (!drawn) {
    const found = contrast(ring, behind(element.parentElement));
    if (found < contrastMin) return `the ring has a contrast of only ${found.toFixed(2)}`;
  }
  // What is focused must be in sight, and not under what is fixed on top.
  const boxes = [...element.getClientRects()];
  const seen = boxes.some((box) => {
    const [x, y] = [Math.max(box.left, 0) + Math.min(box.width / 2, 8), box.top + Math.min(box.height / 2, 12)];
    const top = document.elementFromPoint(Math.min(x, innerWidth - 1), y);
    return top && (top === element || element.contains(top) || top.contains(element));
  });
  if (!seen) return "it is out of sight or covered";
  return "";
}

/** What is said where nothing has the focus: Tab has come to the end of the page. */
export const NOWHERE = "nothing has the focus";

/** Runs in the page: marks what has the focus as reached, and judges it. */
async function judged(judge, contrastMin, nowhere) {
  document.activeElement.removeAttribute("data-unreached");
  if (document.activeElement === document.body) return nowhere;
  // Where something may move, a control comes into sight and takes its look within a frame.
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (!still) await new Promise((drawn) => requestAnimationFrame(drawn));
  const fault = judge(contrastMin);
  const control = document.activeElement.outerHTML.replace(/\s+/g, " ").slice(0, 120);
  return fault && `the focus is not visible, ${fault}: ${control}`;
}

/** What is wrong with how the focus shows; nothing where all is well, `NOWHERE` where nothing has it. */
export const focusFault = (page) =>
  page.evaluate(`(${judged})(${faultOfFocus}, ${CONTRAST_MIN}, ${JSON.stringify(NOWHERE)})`);

/** Fails when somebody who looks could not tell what has the focus. */
export async function focusIsVisible(page) {
  const fault = await focusFault(page);
  if (fault) throw new Error(fault);
}
