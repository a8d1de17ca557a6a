"""Every field of a request to api.openai.com, in the order in which the API looks at it.

Sources: openai/openai-openapi and the types of openai-python 3.54.0 for names, kinds and ranges; the order is
the one measured on the live API, as published by its callers.
"""

from __future__ import annotations

from .openai_rules import (
    ANYTHING,
    FLAG,
    MAP,
    Rule,
    array,
    choice,
    decimal,
    either,
    integer,
    record,
    tagged,
    text,
)

NAME = text(64, "^[a-zA-Z0-9_-]+$")
ROLES = ("system", "assistant", "user", "function", "tool", "developer")
TIERS = choice("auto", "default", "fast", "flex", "priority", "scale")
VERBOSITY = choice("low", "medium", "high")
DETAIL = choice("auto", "low", "high", "original")
BREAKPOINT = {"prompt_cache_breakpoint": MAP}

# --- messages -------------------------------------------------------------------------------------

PART = tagged(
    "type",
    {
        "text": record({"type": ANYTHING, "text": text(), **BREAKPOINT}, "text"),
        "image_url": record(
            {
                "type": ANYTHING,
                "image_url": record({"url": text(), "detail": DETAIL}, "url"),
                **BREAKPOINT,
            },
            "image_url",
        ),
        "input_audio": record(
            {
                "type": ANYTHING,
                "input_audio": record({"data": text(), "format": choice("wav", "mp3")}, "data", "format"),
                **BREAKPOINT,
            },
            "input_audio",
        ),
        "refusal": record({"type": ANYTHING, "refusal": text()}, "refusal"),
        "audio": MAP,
        "file": record(
            {
                "type": ANYTHING,
                "file": record({"filename": text(), "file_data": text(), "file_id": text()}),
                **BREAKPOINT,
            },
            "file",
        ),
    },
)
CONTENT = either(text(), array(PART, least=1))
TOOL_CALL = tagged(
    "type",
    {
        "function": record(
            {
                "id": text(40),
                "type": ANYTHING,
                "function": record({"name": NAME, "arguments": text()}, "name", "arguments"),
            },
            "id",
            "function",
        ),
        "custom": record(
            {
                "id": text(40),
                "type": ANYTHING,
                "custom": record({"name": NAME, "input": text()}, "name", "input"),
            },
            "id",
            "custom",
        ),
    },
)
_SHARED = {"role": ANYTHING, "content": CONTENT}
MESSAGE = tagged(
    "role",
    {
        "system": record({**_SHARED, "name": NAME}),
        "assistant": record(
            {
                **_SHARED,
                "name": NAME,
                "refusal": text(),
                "annotations": array(MAP),  # passed over, so that a reply's message can be sent back
                "audio": record({"id": text()}, "id"),
                "tool_calls": array(TOOL_CALL, least=1),
                "function_call": record({"name": NAME, "arguments": text()}, "name", "arguments"),
            }
        ),
        "user": record({**_SHARED, "name": NAME}),
        "function": record({**_SHARED, "name": NAME}, "name"),
        "tool": record({**_SHARED, "tool_call_id": text()}, "tool_call_id"),
        "developer": record({**_SHARED, "name": NAME}),
    },
)

# --- tools ------------------------------------------------------------------------------------------

FUNCTION = {"name": NAME, "description": text(), "parameters": MAP, "strict": FLAG}
TOOL_FORMAT = tagged(
    "type",
    {
        "text": MAP,
        "grammar": record(
            {
                "type": ANYTHING,
                "grammar": record(
                    {"definition": text(), "syntax": choice("lark", "regex")}, "definition", "syntax"
                ),
            },
            "grammar",
        ),
    },
)
TOOL = tagged(
    "type",
    {
        "function": record({"type": ANYTHING, "function": record(FUNCTION, "name")}, "function"),
        "custom": record(
            {
                "type": ANYTHING,
                "custom": record({"name": NAME, "description": text(), "format": TOOL_FORMAT}, "name"),
            },
            "custom",
        ),
    },
)
MODES = choice("none", "auto", "required")
TOOL_CHOICE = either(
    MODES,
    tagged(
        "type",
        {
            "function": record({"type": ANYTHING, "function": record({"name": text()}, "name")}, "function"),
            "allowed_tools": record(
                {
                    "type": ANYTHING,
                    "allowed_tools": record(
                        {"mode": choice("auto", "required"), "tools": array(MAP, least=1)}, "mode", "tools"
                    ),
                },
                "allowed_tools",
            ),
            "custom": record({"type": ANYTHING, "custom": record({"name": text()}, "name")}, "custom"),
        },
    ),
)

# --- chat completions ---------------------------------------------------------------------------------

JSON_SCHEMA = {"name": NAME, "description": text(), "schema": MAP, "strict": FLAG}
RESPONSE_FORMAT = tagged(
    "type",
    {
        "json_object": record({"type": ANYTHING}),
        "json_schema": record({"type": ANYTHING, "json_schema": record(JSON_SCHEMA, "name")}, "json_schema"),
        "text": record({"type": ANYTHING}),
    },
)
MODERATION = record(
    {
        "model": text(),
        "policy": record(
            {
                "input": record({"mode": choice("score", "block")}, "mode"),
                "output": record({"mode": choice("score", "block")}, "mode"),
            }
        ),
    },
    "model",
)
CACHE_OPTIONS = record(
    {"mode": choice("implicit", "explicit"), "ttl": choice("30m", "12h"), "comparison_response_id": text()}
)
WEB_SEARCH = record(
    {
        "search_context_size": choice("low", "medium", "high"),
        "user_location": record(
            {
                "type": choice("approximate"),
                "approximate": record(
                    {"city": text(), "country": text(), "region": text(), "timezone": text()}
                ),
            },
            "type",
        ),
    }
)
PREDICTION = tagged(
    "type", {"content": record({"type": ANYTHING, "content": either(text(), array(PART))}, "content")}
)

CHAT: dict[str, Rule] = {
    "model": text(),
    "messages": array(MESSAGE, least=1),
    "functions": array(record(FUNCTION, "name"), least=1, most=128),
    "function_call": either(choice("none", "auto"), record({"name": text()}, "name")),
    "tools": array(TOOL, least=1, most=128),
    "tool_choice": TOOL_CHOICE,
    "parallel_tool_calls": FLAG,
    "max_completion_tokens": integer(1),
    "n": integer(1, 128),
    "temperature": decimal(0, 2),
    "top_p": decimal(0, 1),
    "presence_penalty": decimal(-2, 2),
    "frequency_penalty": decimal(-2, 2),
    "logprobs": FLAG,
    "top_logprobs": integer(0, 20),
    "user": text(),
    "seed": integer(-(2**63), 2**63 - 1),
    "moderation": MODERATION,
    "safety_identifier": text(128),
    "prompt_cache_options": CACHE_OPTIONS,
    "prompt_cache_key": text(),
    "prompt_cache_retention": choice("in_memory", "24h"),
    "response_format": RESPONSE_FORMAT,
    "service_tier": TIERS,
    "max_tokens": integer(1),
    "reasoning_effort": text(),
    "logit_bias": MAP,
    "stop": either(text(), array(text(), most=4)),
    "stream": FLAG,
    "stream_options": record({"include_usage": FLAG, "include_obfuscation": FLAG}),
    "store": FLAG,
    "metadata": MAP,
    "prediction": PREDICTION,
    "modalities": array(choice("text", "audio")),
    "audio": record(
        {"voice": ANYTHING, "format": choice("wav", "aac", "mp3", "flac", "opus", "pcm16")}, "voice", "format"
    ),
    "web_search_options": WEB_SEARCH,
    "verbosity": VERBOSITY,
}

# --- embeddings -----------------------------------------------------------------------------------------

EMBEDDINGS: dict[str, Rule] = {
    "model": text(),
    "input": ANYTHING,
    "dimensions": integer(1),
    "encoding_format": choice("float", "base64"),
    "user": text(),
}

# --- responses ------------------------------------------------------------------------------------------

_STATUS = {"id": text(), "status": text(), "type": ANYTHING}
INPUT_PART = tagged(
    "type",
    {
        "input_text": record({"type": ANYTHING, "text": text(), **BREAKPOINT}, "text"),
        "input_image": record(
            {
                "type": ANYTHING,
                "image_url": text(),
                "file_id": text(),
                "detail": DETAIL,
                **BREAKPOINT,
            }
        ),
        "output_text": record(
            {"type": ANYTHING, "text": text(), "annotations": array(MAP), "logprobs": array(MAP)}, "text"
        ),
        "refusal": record({"type": ANYTHING, "refusal": text()}, "refusal"),
        "input_file": record(
            {
                "type": ANYTHING,
                "file_data": text(),
                "file_id": text(),
                "file_url": text(),
                "filename": text(),
                "detail": text(),
                **BREAKPOINT,
            }
        ),
        "summary_text": record({"type": ANYTHING, "text": text()}, "text"),
        "reasoning_text": record({"type": ANYTHING, "text": text()}, "text"),
    },
)
INPUT_CONTENT = either(text(), array(INPUT_PART))
ITEMS: dict[str, Rule] = {
    "message": record(
        {
            **_STATUS,
            "role": choice("assistant", "system", "developer", "user"),
            "content": INPUT_CONTENT,
            "phase": text(),
        },
        "role",
        "content",
    ),
    "function_call": record(
        {**_STATUS, "call_id": text(64), "name": text(128), "arguments": text(), "namespace": text()},
        "call_id",
        "name",
        "arguments",
    ),
    "function_call_output": record(
        {**_STATUS, "call_id": text(64), "output": INPUT_CONTENT}, "call_id", "output"
    ),
    "custom_tool_call": record(
        {**_STATUS, "call_id": text(64), "name": text(), "input": text(), "namespace": text()},
        "call_id",
        "name",
        "input",
    ),
    "custom_tool_call_output": record(
        {**_STATUS, "call_id": text(64), "output": INPUT_CONTENT}, "call_id", "output"
    ),
    "reasoning": record(
        {
            **_STATUS,
            "summary": array(INPUT_PART),
            "content": array(INPUT_PART),
            "encrypted_content": text(),
        },
        "summary",
    ),
    "item_reference": record({**_STATUS}, "id"),
}
FORMAT = tagged(
    "type",
    {
        "json_object": record({"type": ANYTHING}),
        "json_schema": record({"type": ANYTHING, **JSON_SCHEMA}, "name", "schema"),
        "text": record({"type": ANYTHING}),
    },
)
RESPONSE_TOOL = tagged(
    "type",
    {
        "function": record({"type": ANYTHING, **FUNCTION}, "name"),
        "custom": record({"type": ANYTHING, "name": NAME, "description": text(), "format": MAP}, "name"),
        **{
            kind: MAP
            for kind in (
                "file_search", "computer_use_preview", "web_search", "web_search_preview", "mcp",
                "code_interpreter", "image_generation", "local_shell", "shell", "apply_patch",
            )
        },
    },
)  # fmt: skip
RESPONSE_TOOL_CHOICE = either(
    MODES,
    tagged(
        "type",
        {
            "function": record({"type": ANYTHING, "name": text()}, "name"),
            "custom": record({"type": ANYTHING, "name": text()}, "name"),
            "allowed_tools": record(
                {"type": ANYTHING, "mode": choice("auto", "required"), "tools": array(MAP, least=1)},
                "mode",
                "tools",
            ),
        },
    ),
)

RESPONSES: dict[str, Rule] = {
    "model": text(),
    "input": ANYTHING,
    "instructions": text(),
    "tools": array(RESPONSE_TOOL),
    "tool_choice": RESPONSE_TOOL_CHOICE,
    "parallel_tool_calls": FLAG,
    "max_output_tokens": integer(16),
    "max_tool_calls": integer(1),
    "temperature": decimal(0, 2),
    "top_p": decimal(0, 1),
    "top_logprobs": integer(0, 20),
    "user": text(),
    "safety_identifier": text(128),
    "moderation": MODERATION,
    "prompt_cache_options": CACHE_OPTIONS,
    "prompt_cache_key": text(),
    "prompt_cache_retention": choice("in_memory", "24h"),
    "text": record({"format": FORMAT, "verbosity": VERBOSITY}),
    "reasoning": record(
        {
            "effort": text(),
            "summary": choice("auto", "concise", "detailed"),
            "generate_summary": choice("auto", "concise", "detailed"),
            "context": choice("auto", "current_turn", "all_turns"),
        }
    ),
    "include": array(
        choice(
            "file_search_call.results",
            "web_search_call.results",
            "web_search_call.action.sources",
            "message.input_image.image_url",
            "computer_call_output.output.image_url",
            "code_interpreter_call.outputs",
            "reasoning.encrypted_content",
            "message.output_text.logprobs",
        )
    ),
    "previous_response_id": text(),
    "conversation": either(text(), record({"id": text()}, "id")),
    "service_tier": TIERS,
    "truncation": choice("auto", "disabled"),
    "stream": FLAG,
    "stream_options": record({"include_obfuscation": FLAG}),
    "store": FLAG,
    "background": FLAG,
    "metadata": MAP,
    "prompt": MAP,
    "context_management": array(MAP),
}
