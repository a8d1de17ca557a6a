"""The practice server: Ollama's two surfaces and api.openai.com's, embedded. It knows nothing of Jupyter."""
