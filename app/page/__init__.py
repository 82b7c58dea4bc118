"""The page in Gradio: panels, sessions, wiring."""
