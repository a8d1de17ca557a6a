"""What an interactive session says of itself, as data, from Ollama 0.32.15."""

from __future__ import annotations

HELP = """\
Available Commands:
  /set            Set session variables
  /show           Show model information
  /load <model>   Load a session or model
  /save <model>   Save your current session
  /clear          Clear session context
  /bye            Exit
  /?, /help       Help for a command
  /? shortcuts    Help for keyboard shortcuts

Use \"\"\" to begin a multi-line message.
"""
HELP_FILES = "Use {path} to include .jpg, .png, .webp images, or .wav audio files.\n"
HELP_SET = """\
Available Commands:
  /set parameter ...     Set a parameter
  /set system <string>   Set system message
  /set history           Enable history
  /set nohistory         Disable history
  /set wordwrap          Enable wordwrap
  /set nowordwrap        Disable wordwrap
  /set format json       Enable JSON mode
  /set noformat          Disable formatting
  /set verbose           Show LLM stats
  /set quiet             Disable LLM stats
  /set think             Enable thinking
  /set nothink           Disable thinking

"""
HELP_SHORTCUTS = """\
Available keyboard shortcuts:
  Ctrl + a            Move to the beginning of the line (Home)
  Ctrl + e            Move to the end of the line (End)
   Alt + b            Move back (left) one word
   Alt + f            Move forward (right) one word
  Ctrl + k            Delete the sentence after the cursor
  Ctrl + u            Delete the sentence before the cursor
  Ctrl + w            Delete the word before the cursor

  Ctrl + l            Clear the screen
  Ctrl + g            Open default editor to compose a prompt
  Ctrl + c            Stop the model from responding
  Ctrl + d            Exit ollama (/bye)

"""
HELP_SHOW = """\
Available Commands:
  /show info         Show details for this model
  /show license      Show model license
  /show modelfile    Show Modelfile for this model
  /show parameters   Show parameters for this model
  /show system       Show system message
  /show template     Show prompt template

"""
HELP_PARAMETERS = """\
Available Parameters:
  /set parameter seed <int>             Random number seed
  /set parameter num_predict <int>      Max number of tokens to predict
  /set parameter top_k <int>            Pick from top k num of tokens
  /set parameter top_p <float>          Pick token based on sum of probabilities
  /set parameter min_p <float>          Pick token based on top token probability * min_p
  /set parameter num_ctx <int>          Set the context size
  /set parameter temperature <float>    Set creativity level
  /set parameter repeat_penalty <float> How strongly to penalize repetitions
  /set parameter repeat_last_n <int>    Set how far back to look for repetitions
  /set parameter num_gpu <int>          The number of layers to send to the GPU
  /set parameter stop <string> <string> ...   Set the stop parameters

"""

SAYS = {
    "leave": "\nUse Ctrl + d or /bye to exit.",
    "unknown": "Unknown command '{command}'. Type /? for help",
    "usage": "Usage:\n  {command} <modelname>",
    "loading": "Loading model '{model}'",
    "not found": "Couldn't find model '{model}'",
    "created": "Created new model '{model}'",
    "bad name": "error: The model name '{model}' is invalid",
    "cleared": "Cleared session context",
    "system": "Set system message.",
    "mode": "Set '{mode}' mode.",
    "think level": "Set 'think' mode to '{level}'.",
    "format": "Set format to 'json' mode.",
    "bad format": "Invalid or missing format. For 'json' mode use '/set format json'",
    "noformat": "Disabled format.",
    "parameter": "Set parameter '{name}' to '{value}'",
    "bad parameter": "Couldn't set parameter: {error}",
    "no show": "error: couldn't get model",
    "no license": "No license was specified for this model.",
    "no system": "No system message was specified for this model.",
    "no template": "No prompt template was specified for this model.",
    "model parameters": "Model defined parameters:",
    "no parameters": "  No additional parameters were specified for this model.",
    "own parameters": "User defined parameters:",
    "error": "error: {error}",
    "upstream": "An error occurred while processing your message. Please try again.\n",
}
WARNINGS = {
    "no thinking": "warning: model {model} does not support thinking output",
    "no editor": "editor {name} not found, set OLLAMA_EDITOR to the path of your preferred editor",
    "editor": "editor exited with error: exit status {status}",
}
