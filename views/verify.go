package views

// VerifyPath is where anybody has a receipt proven.
const VerifyPath = "/verify"

// ReceiptPath is where a buyer gets what proves his payment.
func ReceiptPath(attempt, key string) string {
	return PurchasePath(attempt, "") + "/receipt?k=" + key
}
