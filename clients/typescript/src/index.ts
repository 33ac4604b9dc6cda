/**
 * Prompts of a Bookholder registry, from the replica beside the application.
 *
 * @packageDocumentation
 */

export * from "./types.js";
export { Bookholder, FakeBookholder } from "./client.js";
export type { BookholderOptions, PromptFilter, PromptOptions, WarnKind } from "./options.js";
export {
    BookholderError,
    InvalidReference,
    InvalidVariables,
    PromptNotFound,
    PromptUnavailable,
    RenderFailed,
} from "./errors.js";
export type { Problems, WrongMessage, WrongType } from "./errors.js";
export type { Caller, Fallback } from "./answers.js";
export type { BakedAnswers } from "./baked.js";
export type { FakePrompts } from "./fake.js";
export { Filled, Prompt } from "./prompt.js";
export type { RecordFields, RecordedPrompt, ScoreFields } from "./reports.js";
export type {
    AiArguments,
    AnthropicArguments,
    OpenAIArguments,
    OpenAISettings,
    ResponsesArguments,
    ResponsesSettings,
} from "./sdk.js";
