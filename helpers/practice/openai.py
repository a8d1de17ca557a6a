"""The surface that behaves as api.openai.com does, `/openai/v1/*`, and Azure's forms of it, `/openai/*`.

keys, request ids, headers   openai_http.py
models and their facts       openai_models.py, openai_models.toml
what a request may be        openai_rules.py (the rules), openai_fields.py (the fields), openai_checks.py,
                             openai_schema.py
one reply                    openai_turn.py, and by endpoint: openai_chat.py, openai_embeddings.py,
                             openai_responses.py (its input: openai_items.py)
what is kept                 openai_kept.py, openai_stored.py
Azure                        azure.py
"""

from __future__ import annotations

from . import azure, openai_chat, openai_embeddings, openai_models, openai_responses, openai_stored

routes = [
    *openai_models.routes,
    *openai_chat.routes,
    *openai_stored.routes,
    *openai_embeddings.routes,
    *openai_responses.routes,
    *azure.routes,  # last: it answers for every other path below /openai
]
