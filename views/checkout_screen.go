package views

// screen is what an open purchase shows while the buyer deals with the wallet: the server knows nothing
// of it, so all of them travel with the page and the script shows one.
type screen struct {
	name     string
	state    string // the outline and its tone
	title    string
	sentence string // {amount}, {shop} and {network} are filled in
	action   string
	do       string // what the script does on the action
	primary  bool
	calm     bool // progress, not failure
}

const (
	screenNoWallet = "no_wallet"
	screenApps     = "apps"
)

// screenOrder keeps the page the same from one rendering to the next.
var screenOrder = []string{
	"waiting", "sending", "rejected", "insufficient", "wrong_network", screenNoWallet, screenApps,
	"pending", "offline", "locked", "refused", "incapable", "unsent", "sent", "unsendable",
}

var screens = indexScreens(
	screen{
		name: "waiting", state: "waiting", calm: true, title: "Approve in your wallet",
		sentence: "It asks you to approve {amount} for {shop}. Nothing is paid before you do.",
		action:   "Choose another wallet", do: "choose",
	},
	screen{
		name: "sending", state: "settling", calm: true, title: "Sending your payment",
		sentence: "You approved {amount}. Do not pay again while it is on its way.",
		action:   "Check now", do: "check",
	},
	screen{
		name: "rejected", state: "rejected", title: "Not approved",
		sentence: "You declined in your wallet. Nothing was paid.",
		action:   "Try again", do: "pay", primary: true,
	},
	screen{
		name: "insufficient", state: "insufficient", title: "Not enough USDC",
		sentence: "This wallet holds less than the price of {amount}. Nothing was paid.",
		action:   "Choose another wallet", do: "choose", primary: true,
	},
	screen{
		name: "wrong_network", state: "wrong_network", title: "Other network",
		sentence: "Your wallet is set to another network than {network}. Nothing was paid.",
		action:   "Switch network", do: "pay", primary: true,
	},
	screen{
		name: screenNoWallet, state: "open", title: "This browser has no wallet",
		sentence: "Scan the code with your phone, or open this page in a browser that has your wallet.",
		action:   "Look for a wallet again", do: "choose",
	},
	screen{
		name: screenApps, state: "open", calm: true, title: "Open this page in your wallet",
		sentence: "Your wallet app shows it again and asks for your approval.",
	},
	screen{
		name: "pending", state: "waiting", title: "Open your wallet",
		sentence: "It is already waiting for your answer. Approve there, or close its request.",
		action:   "Try again", do: "pay", primary: true,
	},
	screen{
		name: "offline", state: "insufficient", title: "Your wallet has no connection",
		sentence: "It cannot reach its network just now. Nothing was paid.",
		action:   "Try again", do: "pay", primary: true,
	},
	screen{
		name: "locked", state: "rejected", title: "Your wallet is locked",
		sentence: "Unlock it and let this page see your account. Nothing was paid.",
		action:   "Try again", do: "pay", primary: true,
	},
	screen{
		name: "refused", state: "rejected", title: "The payment was refused",
		sentence: "Nothing was paid.",
		action:   "Try again", do: "pay", primary: true,
	},
	screen{
		name: "incapable", state: "rejected", title: "This wallet cannot pay here",
		sentence: "It did not answer the request. Nothing was paid.",
		action:   "Choose another wallet", do: "choose", primary: true,
	},
	screen{
		name: "unsent", state: "unknown", title: "Do not pay again",
		sentence: "You approved {amount}, but the shop does not answer. Your payment may be on its way.",
		action:   "Check now", do: "resend",
	},
	screen{
		name: "sent", state: "settling", calm: true, title: "Your transfer is on its way",
		sentence: "This page turns paid when it arrives. Do not send it again.",
		action:   "Check now", do: "check",
	},
	screen{
		name: "unsendable", state: "rejected", title: "The wallet did not send it",
		sentence: "It needs {amount} and some of the network's own coin for the fee. Nothing was paid here.",
		action:   "Try again", do: "transfer", primary: true,
	},
)

func indexScreens(all ...screen) map[string]screen {
	index := make(map[string]screen, len(all))
	for _, s := range all {
		index[s.name] = s
	}
	return index
}
