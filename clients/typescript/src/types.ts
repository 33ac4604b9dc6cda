/**
 * The prompts that your application uses, for the type checker: empty until `bookholder types --lang ts` (or you)
 * declares them. Then a wrong name, a missing or unknown variable and a wrong output are type errors; at run time
 * nothing changes.
 *
 * @example
 * ```ts
 * import "bookholder";
 *
 * declare module "bookholder" {
 *     interface Prompts {
 *         "support/agent": {
 *             // `?` on a variable that is not required. Types: string, number, boolean, unknown[] (array),
 *             // { [key: string]: unknown } (object); an `any` variable is `Value`, in jinja `unknown`.
 *             vars: { shop: string; tone?: string };
 *             // The names of placeholders, joined by `|`; leave the key out where there are none.
 *             lists: "history";
 *             // What `parse` returns, from the response schema; leave the key out where there is none.
 *             out: { reply: string; escalate: boolean };
 *         };
 *         "support/tone": { vars: {} };
 *     }
 * }
 * ```
 */

export interface Prompts {}

/** What an entry of {@link Prompts} can have. */
export interface PromptDeclaration {
    /** The variables. */
    vars: object;
    /** The names of the placeholders. */
    lists?: string;
    /** The structured output. */
    out?: unknown;
}

type DeclaredName = keyof Prompts & string;

/** A declared name, alone (`production`) or with `@label`, `@7` or `@b3:…`; any text while no prompt is declared. */
export type PromptReference = [DeclaredName] extends [never] ? string : DeclaredName | `${DeclaredName}@${string}`;

type NameIn<R extends string> = R extends `${infer Name}@${string}` ? Name : R;
type DeclarationOf<R extends string> = NameIn<R> extends keyof Prompts ? Prompts[NameIn<R>] : undefined;
type ListsOf<D> = D extends { lists: infer Lists extends string } ? Lists : never;
type Flat<T> = { [K in keyof T]: T[K] };

/** The values that `messages`, `text` and `render` take for a reference: variables, and lists for placeholders. */
export type Variables<R extends string = string> =
    DeclarationOf<R> extends infer D
        ? D extends { vars: infer Vars }
            ? [keyof Vars | ListsOf<D>] extends [never]
                ? { readonly [name: string]: never }
                : Flat<Vars & { [K in ListsOf<D>]?: readonly Message[] }>
            : { readonly [name: string]: unknown }
        : never;

/** {@link Variables} as an argument, which can be left out where nothing is required. */
export type VariableArguments<R extends string = string> =
    {} extends Variables<R> ? [variables?: Variables<R>] : [variables: Variables<R>];

/** What `parse` returns for a reference. */
export type Output<R extends string = string> = DeclarationOf<R> extends { out: infer Out } ? Out : unknown;

/** A value that mustache can print. */
export type Value = string | number | boolean;

/** A message in the shape of chat APIs; other fields are passed on. */
export interface Message {
    role: "system" | "developer" | "user" | "assistant" | "model" | "tool" | "function";
    content?: string | readonly MessagePart[] | null;
    [field: string]: unknown;
}

/** A message with its variables filled in, which fits what the SDKs of providers take. */
export interface FilledMessage {
    role: any;
    content: any;
    [field: string]: any;
}

/** A part of a message; other fields are passed on. */
export interface MessagePart {
    type: string;
    [field: string]: unknown;
}

/** A placeholder for messages of the caller. */
export interface Placeholder {
    type: "placeholder";
    name: string;
}

/** A declared variable. */
export interface Variable {
    name: string;
    required?: boolean;
    type?: "any" | "string" | "number" | "boolean" | "array" | "object";
    default?: unknown;
    description?: string;
}

/** The model that a version is written for. */
export interface Model {
    name: string;
    parameters?: { [name: string]: unknown };
}

/** The content of a version, as it was published. */
export interface Content {
    syntax?: "mustache" | "jinja" | "plain";
    text?: string;
    messages?: (Message | Placeholder)[];
    variables?: Variable[];
    model?: Model;
    tools?: unknown[];
    response_schema?: unknown;
    config?: { [key: string]: unknown };
}

/** How a split or rules chose the version. */
export interface Assignment {
    /** Index of the matching rule, from 0; null for the default. */
    rule: number | null;
    /** The subject's slot in the split, of 10,000; null without a split. */
    bucket: number | null;
    /** Whether the same subject always gets the same version. */
    sticky: boolean;
}

/** Span attributes and baggage that say which version a response is of. */
export interface Telemetry {
    attributes: { [key: string]: string };
    baggage: string;
}

/** The answer of `GET /v1/resolve`. */
export interface Resolved {
    name: string;
    version: number;
    content_id: string;
    label: string | null;
    content: Content;
    stamp: string;
    assignment: Assignment | null;
    telemetry: Telemetry;
}

/** Where an answer is from: the replica just now, memory, the baked files, or the `fallback` of the call. */
export type Source = "replica" | "memory" | "baked" | "fallback";

/** What rendering ignored or left empty. */
export interface Remark {
    code: "unknown_variables" | "unknown_placeholders" | "missing_placeholders";
    names: string[];
    message: string;
}
