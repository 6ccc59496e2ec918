package views

// settlementPill gives a settlement the pill of the purchase it belongs to, so that both say the same word.
func settlementPill(state string) string {
	switch state {
	case "signed", "requested", "broadcast":
		return "settling"
	case "confirmed", "final":
		return "settled"
	}
	return state
}
