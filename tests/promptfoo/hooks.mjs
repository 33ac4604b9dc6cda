// Gives promptfoo's METEOR the package `natural` by names: `natural` 8.1.1 is a CommonJS package whose names Node does not
// see, so promptfoo 0.123.1 as published fails every METEOR assertion with "PorterStemmer should be loaded".
export async function resolve(specifier, context, next) {
  if (specifier === "natural" && context.parentURL?.includes("/node_modules/promptfoo/")) {
    return { url: new URL("natural.mjs", import.meta.url).href, shortCircuit: true };
  }
  return next(specifier, context);
}
