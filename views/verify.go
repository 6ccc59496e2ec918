package views

// VerifyPath is where anybody has a receipt proven.
const VerifyPath = "/verify"

// ReceiptPath is where a buyer gets what proves his payment.
func ReceiptPath(attempt, key string) string {
	return PurchasePath(attempt, "") + "/receipt?k=" + key
}

// VerifyView is the page that proves receipts.
type VerifyView struct {
	Receipt string   // as it was sent
	Problem string   // why it is not proven
	Proven  []string // what is, a fact each
	Test    bool
}
