"""What all processes say of themselves, as one picture, and how a person sees it."""
