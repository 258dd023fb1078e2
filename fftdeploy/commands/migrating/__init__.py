"""The parts of `migrate`: a target's successors side by side, drafts of profiles, the page."""
