package views

// CodeField is where a buyer types an activation code, on the page of a link.
//
// It is posted with the tap on Pay as code, and buyer_address where the code asks which wallet uses it; with apply=1 the page
// comes back with what the code takes off, and nothing has begun.
type CodeField struct {
	Asked bool // something is to be paid, so that something can be taken off
	Field
	Applied string // what it takes off, in words: "0.50 USDC"; empty for none
	Wallet  Field
	AsksFor bool // the code asks for the wallet
}

func (f CodeField) open() bool {
	return f.Value != "" || f.Problem != "" || f.AsksFor
}
