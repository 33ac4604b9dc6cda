/** Every error that this package throws. */
export class BookholderError extends Error {
    override name = "BookholderError";
}

/** Nothing could answer: neither the node, nor memory, nor the baked prompts, and there was no `fallback`. */
export class PromptUnavailable extends BookholderError {
    override name = "PromptUnavailable";
    constructor(
        /** What was asked for. */
        readonly reference: string,
        /** What was tried, and why it did not answer. */
        readonly reasons: readonly string[],
        options?: ErrorOptions,
    ) {
        super(`no answer for \`${reference}\`: ${reasons.join("; ")}`, options);
    }
}

/** The node answered that there is no such prompt, version or label. */
export class PromptNotFound extends PromptUnavailable {
    override name = "PromptNotFound";
}

/** The node refused the question itself, for example a reference that cannot be read. */
export class InvalidReference extends BookholderError {
    override name = "InvalidReference";
}

/** A value of another type than its variable. */
export interface WrongType {
    name: string;
    expected: string;
    found: string;
}

/** An element of a placeholder's list that is not a message. */
export interface WrongMessage {
    name: string;
    index: number;
    reason: string;
}

/** All mismatches between the values of a caller and a content. */
export interface Problems {
    missing: string[];
    unknown: string[];
    wrongType: WrongType[];
    missingPlaceholders: string[];
    unknownPlaceholders: string[];
    wrongMessages: WrongMessage[];
}

/** @internal */
export const NO_PROBLEMS: Problems = {
    missing: [],
    unknown: [],
    wrongType: [],
    missingPlaceholders: [],
    unknownPlaceholders: [],
    wrongMessages: [],
};

/** Variables are missing, unknown or of the wrong type; the message names all of them. */
export class InvalidVariables extends BookholderError implements Problems {
    override name = "InvalidVariables";
    readonly missing: string[];
    readonly unknown: string[];
    readonly wrongType: WrongType[];
    readonly missingPlaceholders: string[];
    readonly unknownPlaceholders: string[];
    readonly wrongMessages: WrongMessage[];

    constructor(problems: Problems, message = sentence(problems)) {
        super(message);
        this.missing = problems.missing;
        this.unknown = problems.unknown;
        this.wrongType = problems.wrongType;
        this.missingPlaceholders = problems.missingPlaceholders;
        this.unknownPlaceholders = problems.unknownPlaceholders;
        this.wrongMessages = problems.wrongMessages;
    }
}

/** The version cannot be rendered here, or a limit is exceeded. */
export class RenderFailed extends BookholderError {
    override name = "RenderFailed";
}

/** Most names, values or messages in one error message. */
const LISTED_MAX = 20;
/** Longest name in an error message, in characters. */
const EXCERPT_MAX = 300;

/** Names in a sentence, or the first ones if there are many. */
export function list(names: readonly string[]): string {
    const shown = names.slice(0, LISTED_MAX).map((name) => `\`${excerpt(name)}\``);
    const more = names.length - LISTED_MAX;
    return shown.join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** The start of a text, short enough for an error message. */
export function excerpt(text: string): string {
    if (text.length <= EXCERPT_MAX) return text;
    const characters = Array.from(text.slice(0, 2 * EXCERPT_MAX + 2));
    return characters.length > EXCERPT_MAX ? `${characters.slice(0, EXCERPT_MAX).join("")}…` : text;
}

function sentence(problems: Problems): string {
    const parts: string[] = [];
    const say = (what: string, names: readonly string[]) => {
        if (names.length > 0) parts.push(`${what} ${list(names)}`);
    };
    say("missing variables:", problems.missing);
    say("unknown variables:", problems.unknown);
    say("missing placeholders:", problems.missingPlaceholders);
    say("unknown placeholders:", problems.unknownPlaceholders);
    for (const { name, expected, found } of problems.wrongType.slice(0, LISTED_MAX)) {
        parts.push(`\`${excerpt(name)}\` must have type ${expected}, not ${found}`);
    }
    for (const { name, index, reason } of problems.wrongMessages.slice(0, LISTED_MAX)) {
        parts.push(`message ${index} for \`${excerpt(name)}\` ${reason}`);
    }
    return parts.join("; ");
}
