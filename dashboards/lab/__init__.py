"""The frame that every page stands on: address, session, cards, background work, layout."""
