import natural from "natural";

export const { PorterStemmer, WordNet } = natural;
