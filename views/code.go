package views

import (
	"net/url"
	"time"

	"xsynesis/id"
)

// The pages of activation codes.
const (
	SectionCodes Section = "codes"

	CodesPath   = "/dashboard/codes"
	CodeNewPath = "/dashboard/codes/new"
)

// CodeBatchPath is codes that were made together.
func CodeBatchPath(batch id.CodeBatch) string { return CodesPath + "/" + url.PathEscape(string(batch)) }

// CodesCSVPath is those codes as a file.
func CodesCSVPath(batch id.CodeBatch) string { return CodeBatchPath(batch) + "/codes.csv" }

// CodesSheetPath is those codes to print, each with its QR.
func CodesSheetPath(batch id.CodeBatch) string { return CodeBatchPath(batch) + "/sheet" }

// CodesRevocationPath asks whether to end codes; posting to it does: the one of the field "code", or all of them.
func CodesRevocationPath(batch id.CodeBatch) string { return CodeBatchPath(batch) + "/revocation" }

// CodeBatchesView is the list of activation codes, as they were made.
type CodeBatchesView struct {
	DashboardView
	Batches []CodeBatchRow
	Pages   Pages
}

// CodeBatchRow is codes that were made together, in a list.
type CodeBatchRow struct {
	Batch id.CodeBatch
	Name  string // what the seller calls them, or one of them
	Count int
	Off   string // "25 % off", "2.00 USDC off", "Free"
	For   string // what they are for; empty for all that the shop sells
	Used  int
	Uses  int    // of all of them
	State string // as on the pill
}

// CodeBatchView is codes that were made together, with each of them.
type CodeBatchView struct {
	DashboardView
	CodeBatchRow
	PerCode   int // uses
	PerWallet int // 0 for no limit
	From      time.Time
	Until     time.Time
	Address   string // the one wallet that may use them; empty for any
	Created   time.Time
	Codes     []CodeRow
	Pages     Pages
}

// CodeRow is one code.
type CodeRow struct {
	ID    id.Code
	Code  string
	Used  int
	Uses  int
	State string
}

// CodeFormView is the form of new codes.
//
// Shown by GET /dashboard/codes/new. It posts, as multipart/form-data, to /dashboard/codes → 303 to the codes:
//
//	name                     the seller's own name for them
//	off                      free, percent or amount; and then percent or amount
//	count prefix             how many to make up, and what all of them begin with
//	own own_file             the seller's own words, one a line, in place of made-up ones; of a file the first column counts
//	uses per_wallet          whole numbers
//	valid_from valid_until   times
//	for                      empty for all, or the id of an item, a link or an endpoint
//	address                  of the one wallet that may use them
//
// Refused, it comes back with 422.
type CodeFormView struct {
	DashboardView
	Problem   string
	Name      Field
	Off       Field
	Percent   Field
	Amount    Field
	Count     Field
	Prefix    Field
	Own       Field
	Uses      Field
	PerWallet Field
	From      Field
	Until     Field
	For       Field
	Subjects  []CodeSubjects
	Address   Field
	Zone      string // whose clock the times are by
	Once      string // makes a form that is sent twice make codes once
}

// CodeSubjects are things of a kind that codes may be for.
type CodeSubjects struct {
	Kind string // "Items"
	All  []Option
}

// CodeSheetView is codes to print.
type CodeSheetView struct {
	Shop  string
	Test  bool
	Back  string
	Name  string
	Off   string
	For   string
	Until time.Time // zero for never
	Cards []CodeCard
}

// CodeCard is one code to cut out.
type CodeCard struct {
	Code string
	QR   QR
}

// what is what a card says that its code is worth.
func (v CodeSheetView) what() string {
	if v.For == "" {
		return v.Off
	}
	return v.Off + ", " + v.For
}

var codeOffs = []Option{{"percent", "A share"}, {"amount", "An amount"}, {"free", "All of it"}}

// off is the chosen one, or the usual.
func (v CodeFormView) off() string {
	if v.Off.Value == "" {
		return "percent"
	}
	return v.Off.Value
}

// ownWords tells whether the seller brings words of his own.
func (v CodeFormView) ownWords() bool { return v.Own.Value != "" || v.Own.Problem != "" }

// limitsInWords is what the closed fold of limits says it holds.
func (v CodeFormView) limitsInWords() string {
	switch {
	case v.Address.Value != "":
		return "One wallet"
	case v.PerWallet.Value != "":
		return v.PerWallet.Value + " per wallet"
	default:
		return "Any wallet"
	}
}

// timeInWords is what the closed fold of times says it holds.
func (v CodeFormView) timeInWords() string {
	if v.From.Value == "" && v.Until.Value == "" {
		return "From now on"
	}
	return "Limited"
}

// subject is what codes are good for, in words.
func (r CodeBatchRow) subject() string {
	if r.For == "" {
		return "All you sell"
	}
	return r.For
}

// codeState is the word and glyph of codes in a list.
func codeState(state string) (word, glyph, tone string) {
	switch state {
	case "scheduled":
		return "Scheduled", "pending", ToneNeutral
	case "used":
		return "Used up", "settled", ToneNeutral
	case "expired":
		return "Expired", "expired", ToneNeutral
	case "revoked":
		return "Revoked", "cancelled", ToneNeutral
	default:
		return "Active", "settled", ToneOK
	}
}
