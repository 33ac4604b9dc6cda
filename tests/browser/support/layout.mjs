// How a page fits into its window.

/** Narrower than any phone in use: what content must fit without scrolling sideways (WCAG 2.2, 1.4.10). */
export const NARROW = { width: 320, height: 640 };
/** A phone. */
export const PHONE = { width: 390, height: 844 };
/** A desk. */
export const WIDE = { width: 1280, height: 900 };

/** Runs in the page: how far it can be scrolled sideways, and what sticks out; nothing where all fits. */
export function sticksOut() {
  const width = document.documentElement.clientWidth;
  const over = document.documentElement.scrollWidth - width;
  const scrolls = (element) => {
    for (let around = element.parentElement; around; around = around.parentElement) {
      if (getComputedStyle(around).overflowX !== "visible") return true;
    }
    return false;
  };
  const out = [...document.querySelectorAll("body *")].filter(
    (element) => element.getBoundingClientRect().right > width + 1 && !scrolls(element),
  );
  return over > 0
    ? `${over} px: ${out
        .slice(0, 3)
        .map((element) => element.outerHTML.slice(0, 120))
        .join(" | ")}`
    : "";
}
