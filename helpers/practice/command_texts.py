"""What the `ollama` command says of itself: its commands, flags, help and error texts, as data.

Taken from Ollama 0.32.15, so that a lesson's `ollama … --help` reads the same with the practice command.
"""

from __future__ import annotations

from typing import NamedTuple

VERSION = "0.32.15"


class Flag(NamedTuple):
    """One flag. `bare` is its value when it is given without one; with no `bare` it takes the next word."""

    name: str
    usage: str
    kind: str = "bool"
    short: str = ""
    bare: str = ""


class Command(NamedTuple):
    """One command. `arity` is how many words it takes: ("exactly", 1), ("at least", 1), None for any."""

    use: str
    short: str
    arity: tuple[str, int] | None = None
    flags: tuple[Flag, ...] = ()
    env: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    long: str = ""
    hidden: bool = False

    @property
    def name(self) -> str:
        return self.use.split(" ", 1)[0]


def switch(name: str, usage: str, short: str = "") -> Flag:
    return Flag(name, usage, "bool", short, "true")


def text(name: str, usage: str, short: str = "", bare: str = "") -> Flag:
    return Flag(name, usage, "string", short, bare)


HOST = ("OLLAMA_HOST",)
INSECURE = switch("insecure", "Use an insecure registry")
NOWORDWRAP = switch("nowordwrap", "Don't wrap words to the next line automatically")
TIMINGS = switch("verbose", "Show timings for response")

ROOT = Command(
    "ollama",
    "Large language model runner",
    flags=(NOWORDWRAP, TIMINGS, switch("version", "Show version information", "v")),
)

HELP = Command(
    "help [command]",
    "Help about any command",
    long=(
        "Help provides help for any command in the application.\n"
        "Simply type ollama help [path to command] for full details."
    ),
)

LAUNCH_LONG = """\
Launch the Ollama interactive menu, or directly launch a specific integration.

Without arguments, this is equivalent to running 'ollama' directly.
Flags and extra arguments require an integration name.

Supported integrations:
  claude          Claude Code
  chatgpt         ChatGPT (aliases: codex-app, codex-desktop, codex-gui)
  hermes          Hermes Agent
  openclaw        OpenClaw (aliases: clawdbot, moltbot)
  opencode        OpenCode
  codex           Codex
  hermes-desktop  Hermes Desktop
  copilot         Copilot CLI (aliases: copilot-cli)
  omp             OMP
  droid           Droid
  dsh             DeepSeek Harness (alias: deepseek-harness)
  kimi            Kimi Code CLI
  muse            Muse Code (aliases: muse-code)
  pi              Pi
  pool            Pool
  cline           Cline
  qwen            Qwen Code
  vscode          VS Code (aliases: code)

Examples:
  ollama launch
  ollama launch claude
  ollama launch claude --model <model>
  ollama launch chatgpt
  ollama launch chatgpt --restore
  ollama launch hermes
  ollama launch hermes-desktop
  ollama launch dsh
  ollama launch droid --config (does not auto-launch)
  ollama launch codex --restore
  ollama launch codex -- --sandbox workspace-write"""

# In the order in which help shows them.
COMMANDS = (
    Command(
        "serve",
        "Start Ollama",
        ("exactly", 0),
        env=(
            "OLLAMA_DEBUG",
            "OLLAMA_HOST",
            "OLLAMA_CONTEXT_LENGTH",
            "OLLAMA_KEEP_ALIVE",
            "OLLAMA_MAX_LOADED_MODELS",
            "OLLAMA_MAX_TRANSFER_STREAMS",
            "OLLAMA_MAX_QUEUE",
            "OLLAMA_MODELS",
            "OLLAMA_NUM_PARALLEL",
            "OLLAMA_NO_CLOUD",
            "OLLAMA_NOPRUNE",
            "OLLAMA_ORIGINS",
            "OLLAMA_SCHED_SPREAD",
            "OLLAMA_FLASH_ATTENTION",
            "OLLAMA_KV_CACHE_TYPE",
            "OLLAMA_LLM_LIBRARY",
            "OLLAMA_GPU_OVERHEAD",
            "OLLAMA_IGPU_ENABLE",
            "LLAMA_ARG_FIT",
            "LLAMA_ARG_FIT_TARGET",
            "OLLAMA_LOAD_TIMEOUT",
        ),
        aliases=("start",),
    ),
    Command(
        "create MODEL",
        "Create a model",
        ("exactly", 1),
        (
            text("draft-quantize", "Quantize draft model to this level"),
            switch("experimental", "Enable experimental safetensors model creation"),
            text("file", 'Name of the Modelfile (default "Modelfile")', "f"),
            text("quantize", "Quantize model to this level (e.g. q4_K_M)", "q"),
        ),
        HOST,
    ),
    Command(
        "show MODEL",
        "Show information for a model",
        ("exactly", 1),
        (
            switch("license", "Show license of a model"),
            switch("modelfile", "Show Modelfile of a model"),
            switch("parameters", "Show parameters of a model"),
            switch("system", "Show system message of a model"),
            switch("template", "Show template of a model"),
            switch("verbose", "Show detailed model information", "v"),
        ),
        HOST,
    ),
    Command(
        "run MODEL [PROMPT]",
        "Run a model",
        ("at least", 1),
        (
            Flag(
                "dimensions",
                "Truncate output embeddings to specified dimension (embedding models only)",
                "int",
            ),
            text("format", "Response format (e.g. json)"),
            switch("hidethinking", "Hide thinking output (if provided)"),
            INSECURE,
            text("keepalive", "Duration to keep a model loaded (e.g. 5m)"),
            NOWORDWRAP,
            text(
                "think",
                "Enable thinking mode: true/false or high/medium/low for supported models",
                bare="true",
            ),
            switch(
                "truncate",
                "For embedding models: truncate inputs exceeding context length (default: true). "
                "Set --truncate=false to error instead",
            ),
            TIMINGS,
        ),
        ("OLLAMA_EDITOR", "OLLAMA_HOST", "OLLAMA_NOHISTORY"),
    ),
    Command("stop MODEL", "Stop a running model", ("exactly", 1), env=HOST),
    Command("pull MODEL", "Pull a model from a registry", ("exactly", 1), (INSECURE,), HOST),
    Command("push MODEL", "Push a model to a registry", ("exactly", 1), (INSECURE,), HOST),
    Command("signin", "Sign in to ollama.com", ("exactly", 0)),
    Command("login", "Sign in to ollama.com", ("exactly", 0), hidden=True),
    Command("signout", "Sign out from ollama.com", ("exactly", 0)),
    Command("logout", "Sign out from ollama.com", ("exactly", 0), hidden=True),
    Command("list", "List models", env=HOST, aliases=("ls",)),
    Command("ps", "List running models", env=HOST),
    Command("cp SOURCE DESTINATION", "Copy a model", ("exactly", 2), env=HOST),
    Command("rm MODEL [MODEL...]", "Remove a model", ("at least", 1), env=HOST),
    Command(
        "launch [INTEGRATION] [-- [EXTRA_ARGS...]]",
        "Launch the Ollama menu or an integration",
        flags=(
            switch("config", "Configure without launching"),
            text("model", "Model to use"),
            switch("restore", "Restore an integration to its default profile"),
            switch("yes", "Automatically answer yes to confirmation prompts", "y"),
        ),
        long=LAUNCH_LONG,
    ),
    HELP,
)

# The longest name is that of a hidden command which the practice command does not have.
NAME_WIDTH = len("gpu-discover")

ENVIRONMENT = {
    "LLAMA_ARG_FIT": 'Enable llama.cpp automatic fit of unset memory options (default "on")',
    "LLAMA_ARG_FIT_TARGET": "Target free VRAM margin per device for llama.cpp fit (MiB)",
    "OLLAMA_CONTEXT_LENGTH": (
        "Context length to use unless otherwise specified (default: 4k/32k/256k based on VRAM)"
    ),
    "OLLAMA_DEBUG": "Show additional debug information (e.g. OLLAMA_DEBUG=1)",
    "OLLAMA_EDITOR": "Path to editor for interactive prompt editing (Ctrl+G)",
    "OLLAMA_FLASH_ATTENTION": "Enabled flash attention",
    "OLLAMA_GPU_OVERHEAD": "Reserve a portion of VRAM per GPU (bytes)",
    "OLLAMA_HOST": "IP Address for the ollama server (default 127.0.0.1:11434)",
    "OLLAMA_IGPU_ENABLE": "Enable integrated GPUs",
    "OLLAMA_KEEP_ALIVE": 'The duration that models stay loaded in memory (default "5m")',
    "OLLAMA_KV_CACHE_TYPE": "Quantization type for the K/V cache (default: f16)",
    "OLLAMA_LLM_LIBRARY": "Set LLM library to bypass autodetection",
    "OLLAMA_LOAD_TIMEOUT": 'How long to allow model loads to stall before giving up (default "5m")',
    "OLLAMA_MAX_LOADED_MODELS": "Maximum number of loaded models per GPU",
    "OLLAMA_MAX_QUEUE": "Maximum number of queued requests",
    "OLLAMA_MAX_TRANSFER_STREAMS": (
        "Maximum parallel transfer streams for safetensors model pulls/pushes (default 4)"
    ),
    "OLLAMA_MODELS": "The path to the models directory",
    "OLLAMA_NOHISTORY": "Do not preserve readline history",
    "OLLAMA_NOPRUNE": "Do not prune model blobs on startup",
    "OLLAMA_NO_CLOUD": "Disable Ollama cloud features (remote inference and web search)",
    "OLLAMA_NUM_PARALLEL": "Maximum number of parallel requests",
    "OLLAMA_ORIGINS": "A comma separated list of allowed origins",
    "OLLAMA_SCHED_SPREAD": "Always schedule model across all GPUs",
}

INTEGRATION_ALIASES = {
    "claude-app": "claude-desktop",
    "codex-app": "chatgpt",
    "codex-desktop": "chatgpt",
    "codex-gui": "chatgpt",
    "muse-code": "muse",
    "copilot-cli": "copilot",
    "deepseek-harness": "dsh",
    "clawdbot": "openclaw",
    "moltbot": "openclaw",
    "code": "vscode",
}
CLAUDE_DESKTOP = "claude-desktop"
# What `ollama launch NAME` starts: the program's name, and what stands in the way where it is not installed.
# A question ("… now?") is one that needs an answer in a terminal, anything else is where to get the program.
INTEGRATIONS = {
    "claude": ("claude", "Claude Code is not installed. Install now?"),
    "claude-desktop": ("", "https://claude.com/download"),
    "chatgpt": ("", "https://chatgpt.com/download"),
    "cline": ("cline", "Cline is not installed. Install with npm?"),
    "codex": ("codex", "https://developers.openai.com/codex/cli/"),
    "copilot": ("copilot", "https://github.com/features/copilot/cli/"),
    "droid": ("droid", "https://docs.factory.ai/cli/getting-started/quickstart"),
    "dsh": ("dsh", "DeepSeek Harness is not installed. Install with npm?"),
    "hermes": ("hermes", "Hermes is not installed. Install now?"),
    "hermes-desktop": ("hermes", "Hermes is not installed. Install now?"),
    "kimi": ("kimi", "Kimi is not installed. Install now?"),
    "muse": ("muse", "Muse is not installed. Install now?"),
    "omp": ("omp", "https://omp.sh"),
    "openclaw": ("openclaw", "OpenClaw is not installed. Install with npm?"),
    "opencode": ("opencode", "OpenCode is not installed. Install now?"),
    "pi": ("pi", "Install Pi with npm?"),
    "pool": ("pool", "https://github.com/poolsideai/pool"),
    "qwen": ("qwen", "Qwen Code is not installed. Install now?"),
    "vscode": ("code", "https://code.visualstudio.com"),
}
DESKTOP_ONLY = {"chatgpt": "ChatGPT", "claude-desktop": "Claude Desktop"}  # on macOS and Windows
RESTORABLE = {"chatgpt", "claude-desktop", "codex"}

ERRORS = {
    "unknown command": 'unknown command {name} for "ollama"{suggestions}',
    "unknown help topic": "Unknown help topic [{topics}]",
    "exactly": "accepts {wanted} arg(s), received {received}",
    "at least": "requires at least {wanted} arg(s), only received {received}",
    "bad flag": "bad flag syntax: {word}",
    "unknown flag": "unknown flag: --{name}",
    "unknown short flag": "unknown shorthand flag: {letter} in -{letters}",
    "flag without value": "flag needs an argument: {word}",
    "short flag without value": "flag needs an argument: {letter} in -{letters}",
    "flag value": "invalid argument {value} for {flag} flag: {reason}",
    "server down": "could not connect to ollama server, run 'ollama serve' to start it",
    "no text": "something went wrong, please see the ollama server logs for details",
    "port": "invalid port, using default port={port} default={default}",
    "show one": (
        "only one of '--license', '--modelfile', '--parameters', '--system', or '--template' can be specified"
    ),
    "image model": "image generation models are not currently supported",
    "think": "invalid value for --think: {value} (must be true, false, high, medium, low, or max)",
    "embedding prompt": 'embedding models require input text. Usage: ollama run {model} "your text here"',
    "no embedding": "no embeddings returned",
    "stop": 'couldn\'t find model "{model}" to stop',
    "connecting": "Connecting to '{model}' on {where}",
    "ollama.com": "'ollama.com' ⚡",
    "push denied": (
        "you are not authorized to push to this namespace, create the model under a namespace you own"
    ),
    "cloud suggestion": ('{error}\n\n"{model}" is available as a cloud model. Try:\n  ollama {verb} {model}'),
    "model name": "invalid model name: {name}",
    "no model files": "no Modelfile or safetensors files found",
    "draft quantize": "--draft-quantize requires a DRAFT model",
    "same path": "DRAFT must not reference the same local path as FROM: {path}",
    "file type": "invalid file type: {type}",
    "file size": "file size exceeds maximum limit (100MB)",
    "listen": "listen tcp {address}: bind: {reason}",
    "unknown integration": "unknown integration: {name}",
    "integration name": (
        "flags and extra args require an integration name, "
        "for example: 'ollama launch claude --model qwen3.5'"
    ),
    "integration words": (
        "unexpected arguments: [{words}]\nUse '--' to pass extra arguments to the integration"
    ),
    "integration dash": "expected at most 1 integration name before '--', got {count}",
    "claude desktop": (
        "Claude Desktop is no longer supported. "
        "Existing installations can be restored with 'ollama launch claude-desktop --restore'."
    ),
    "desktop only": "{name} launch is only supported on macOS and Windows",
    "restore alone": "--restore cannot be combined with --model, --config, or extra args",
    "no restore": "{name} does not support --restore",
    "headless": "headless --yes launch for {name} requires --model <model>",
    "confirm": "{question} requires confirmation; re-run with --yes to continue",
    "not installed": "{name} is not installed, install from {place}",
    "not ollama": "{base} does not answer as an Ollama server does ({error}); check OLLAMA_HOST",
    # what the practice command does not do
    "no terminal": (
        "run launcher menu: error running TUI: could not open a new TTY: "
        "open /dev/tty: no such device or address"
    ),
    "no menu": "the practice ollama command has no menu; 'ollama --help' lists its commands",
    "no launch": (
        "the practice ollama command starts no other programs; 'ollama launch {name}' needs the real one"
    ),
    "experimental modelfile": "failed to parse Modelfile: {error}",
    "no safetensors": (
        "{folder} is not a supported safetensors model directory (needs config.json + *.safetensors)"
    ),
    "no experimental": "the practice ollama command does not do 'create --experimental'; leave the flag out",
}

CLOUD_INSTEAD = 'Did you mean "{model}"?'
SIGN_IN_TO_RUN = "You need to be signed in to Ollama to run Cloud models.\n\n"
SIGN_IN_TO_PUSH = "You need to be signed in to push models to ollama.com.\n\n"
SIGN_IN_URL = "If your browser did not open, navigate to:\n    {url}\n\n"
SIGNED_IN = "You are already signed in as user '{name}'\n\n"
SIGNED_OUT = "You have signed out of ollama.com\n\n"
NOT_SIGNED_IN = "You are not signed in to ollama.com\n\n"
