package handlers

import (
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/ledger"
	"xsynesis/money"
	"xsynesis/postgres"
	"xsynesis/shop"
	"xsynesis/views"
	"xsynesis/webhook"
	"xsynesis/x402"
)

var (
	errMisdirected  = errors.New("handlers: request for another host")
	errCrossOrigin  = errors.New("handlers: cross-origin request")
	errScope        = errors.New("handlers: key without the scope")
	errKeyForm      = errors.New("handlers: malformed idempotency key")
	errNoShop       = errors.New("handlers: a person without a shop")
	errNoTill       = errors.New("handlers: not a paired tablet")
	errLocked       = errors.New("handlers: a locked till")
	errTooOften     = errors.New("handlers: wrong too often")
	errTooMany      = errors.New("handlers: asked too often")
	errCrowded      = errors.New("handlers: too many begin at one link")
	errNotForPublic = errors.New("handlers: only with a seller's key")
	errCallback     = errors.New("handlers: callback without a good signature")
	errPath         = errors.New("handlers: ambiguous path")
)

// reply is what an error means to whoever asked.
type reply struct {
	err     error
	status  int
	code    string
	message string
}

// What forms say beside a field, too.
const (
	nameProblem = "Give a name of 1 to 80 characters."
	pinProblem  = "Choose 4 to 8 digits that are not all the same and do not simply count up or down."
)

// replies maps the business's errors; the first match counts.
var replies = []reply{
	{shop.ErrNotFound, 404, "not_found", "There is nothing at this address."},
	{checkout.ErrNotFound, 404, "not_found", "There is nothing at this address."},
	{webhook.ErrNotFound, 404, "not_found", "There is nothing at this address."},
	{id.ErrMalformed, 404, "not_found", "There is nothing at this address."},
	{shop.ErrLinkExpired, 410, "link_expired", "This payment link has expired."},
	{shop.ErrLinkPaused, 409, "link_paused", "The shop takes no payments for this now."},
	{shop.ErrLinkEarly, 409, "link_not_open", "This cannot be paid yet."},
	{shop.ErrSoldOut, 409, "sold_out", "Everything this link offers is sold or being paid for."},
	{shop.ErrShort, 409, "insufficient_stock", "There is not enough of this left. Nothing was held."},
	{shop.ErrCode, 404, "code_unknown", "This code is not known. Look at how it is written."},
	{shop.ErrCodeUsed, 409, "code_used", "This code was used as often as it may be."},
	{shop.ErrCodeEarly, 400, "code_not_valid_yet", "This code is not valid yet."},
	{shop.ErrCodeOver, 400, "code_expired", "This code is not valid any more."},
	{shop.ErrCodeElsewhere, 400, "code_elsewhere", "This code is for something else."},
	{shop.ErrCodeHeld, 429, "too_many_held", "Too many uses of this code are held and not paid yet. Pay with one of them, or try again later."},
	{shop.ErrCodeWallet, 409, "code_not_yours", "This code is for another wallet, or this wallet has used it as often as it may. Nothing was charged."},
	{shop.ErrTooLarge, 413, "too_large", "Pictures may have 10 MB, and files 200 MB."},
	{shop.ErrNoPayee, 409, "no_receiving_address", "The shop has no address to be paid at yet."},
	{shop.ErrChanged, 409, "changed_meanwhile", "Somebody changed this since the page was opened. Look at it, and send it again."},
	{shop.ErrNotReady, 409, "not_ready_for_live", "Real money needs a receiving address on a live network that is proven to be yours."},
	{shop.ErrUnproven, 409, "address_unproven", "The shop has not proven its receiving address yet."},
	{checkout.ErrFree, 409, "free", "This costs nothing: begin it without a payment."},
	{checkout.ErrExpired, 410, "expired", "The time to pay this purchase is over."},
	{checkout.ErrFailed, 410, "payment_failed", "The payment could not be carried out any more. Nothing was taken; begin again."},
	{checkout.ErrInProgress, 409, "attempt_in_progress", "Somebody else is paying this purchase right now."},
	{checkout.ErrPaid, 409, "already_paid", "This purchase is paid already."},
	{checkout.ErrAlreadyUsed, 409, "payment_already_used", "This payment was used for something else."},
	{checkout.ErrPending, 503, "settlement_pending", "The network has not answered yet. Do not pay again."},
	{checkout.ErrReversed, 409, "reversed", "The network took this payment back."},
	{checkout.ErrNoTransfer, 409, "no_transfer", "This purchase cannot be paid by a transfer of your own. Pay it with your wallet."},
	{checkout.ErrCrowded, 503, "transfers_crowded", "Too many transfers of this amount are awaited. Pay with your wallet, or try again later."},
	{checkout.ErrNothingCame, 409, "nothing_came", "Nothing has come by this transaction that this purchase could be paid with. If it is fresh, try again in a minute."},
	{checkout.ErrNotSender, 403, "not_the_sender", "Another wallet sent this transfer. Choose the one that sent it."},
	{errNoTransaction, 400, "invalid_hash", "That is no transaction's number. It begins with 0x and has 64 more characters."},
	{checkout.ErrNotOpen, 409, "not_open", "This purchase is no longer open."},
	{checkout.ErrCharged, 409, "charged", "This sale is being paid, or is paid."},
	{checkout.ErrTicketChanged, 409, "changed_meanwhile", "This sale was changed meanwhile. Look at it, and charge again."},
	{checkout.ErrTotal, 409, "price_changed", "A price has changed. Look at the total, and charge again."},
	{checkout.ErrCartChanged, 409, "cart_changed", "The cart was changed meanwhile. Look at it, and pay again."},
	{checkout.ErrOverRefund, 409, "refund_above_paid", "That is more than what is left of what was paid. Nothing was given back."},
	{checkout.ErrNothingToRefund, 409, "nothing_to_refund", "Nothing is left to give back."},
	{checkout.ErrUnsettled, 409, "payment_unsettled", "The network holds this payment in no block for now. Try again in some minutes."},
	{checkout.ErrRefundUnderWay, 409, "refund_under_way", "This is being given back already. Wait for what becomes of it."},
	{checkout.ErrRefundLimit, 403, "refund_limit", "That is more than you may give back on one day. Ask an owner to do it."},
	{checkout.ErrBlockedPayer, 409, "wallet_blocked", "The issuer of USDC has blocked the wallet that paid, so nothing can be sent there."},
	{checkout.ErrDecided, 409, "decided", "Somebody has decided about this payment already."},
	{checkout.ErrUndecidable, 409, "undecidable", "That cannot be decided about this payment."},
	{checkout.ErrTooManyUnpaid, 429, "too_many_unpaid", "Too many unpaid purchases hold this offer. Pay one of them, or try again later."},
	{checkout.ErrUpstreamSlow, 504, "upstream_timeout", "The seller's server took too long."},
	{checkout.ErrUpstreamLarge, 502, "upstream_too_large", "The seller's server answered more than may be handed on."},
	{checkout.ErrUpstream, 502, "upstream_failed", "The seller's server did not answer."},
	{checkout.ErrLetGo, 503, "call_let_go", "Nothing came of this call, and nothing was charged. The same payment may be sent again."},
	{checkout.ErrForgotten, 409, "answer_not_kept", "This call is paid and was answered. Its answer is not kept any more."},
	{checkout.ErrSpent, 502, "call_spent", "The seller's server failed this call too often. Ask the seller."},
	{checkout.ErrIdentifier, 409, "payment_identifier_used", "Another payment had this identifier."},
	{checkout.ErrUnidentified, 400, "payment_identifier_required", "Every payment here carries an identifier of its own."},
	{shop.ErrEndpointDisabled, 409, "endpoint_disabled", "The seller has switched this off."},
	{checkout.ErrUnfunded, 503, "relayer_unfunded", "Payments are paused for a moment. Nothing was charged."},
	{ledger.ErrNotFound, 404, "not_found", "There is nothing at this address."},
	{ledger.ErrNothingCollected, 409, "nothing_collected", "Buyers pay your own address, so there is nothing to pay out."},
	{ledger.ErrInsufficient, 409, "insufficient_balance", "That is more than is available. Nothing was taken."},
	{ledger.ErrDailyLimit, 409, "daily_limit", "That is more than programs may pay out within 24 hours. Pay it out on the page of payouts, or raise the limit there."},
	{ledger.ErrReadOnly, 503, "read_only", "Nothing leaves for now: the network shows payouts that the books do not know of. Somebody has to enter them first."},
	{ledger.ErrNoDeposit, 503, "no_deposit_address", "No address is ready to keep your money at. Try again in a minute."},
	{evm.ErrUnavailable, 503, "network_unavailable", "The payment network does not answer. Nothing was charged."},
	{evm.ErrNetwork, 400, "unknown_network", "This network is not known here."},
	{webhook.ErrRotating, 409, "rotation_under_way", "The secret before still signs beside the newest. End it first, or wait until it ends."},
	{webhook.ErrTooMany, 409, "too_many_webhooks", "The shop has as many webhooks as it may. Remove one first."},
	{access.ErrDenied, 401, "unauthorized", "Sign in, or send a valid API key."},
	{access.ErrToken, 401, "token_refused", "This access token does not sign in here."},
	{access.ErrChallenge, 401, "challenge_used", "This was answered too late, or before. Begin again."},
	{access.ErrSignature, 401, "signature_refused", "This was not signed by whom it names."},
	{access.ErrSignupsClosed, 403, "signups_closed", "Nobody here knows you yet. Ask for an invitation."},
	{access.ErrStepUp, 403, "step_up_required", "Confirm first that it is you."},
	{access.ErrLastWayIn, 409, "last_way_in", "This is your last way to sign in. Add another passkey or wallet first."},
	{access.ErrOtherChain, 401, "other_network", "This wallet is a contract that was added on another network. Switch it to that network."},
	{access.ErrTaken, 409, "taken", "This passkey or wallet signs in somebody already. Use another one."},
	{access.ErrPerson, 400, "invalid_field", nameProblem},
	{access.ErrTwoKeys, 409, "two_keys", "Two keys of this name are in use. Revoke one first, or choose another name."},
	{access.ErrTooManyKeys, 409, "too_many_keys", "The shop has as many keys as it may. Revoke one first."},
	{access.ErrKeyEnded, 409, "key_ended", "This key opens nothing any more. Make a new one."},
	{access.ErrTooManyShops, 409, "too_many_shops", "You own as many shops as one person may."},
	{access.ErrSellerRequired, 400, "seller_required", "You belong to several shops. Name one in the header Seller-Id."},
	{access.ErrNotFound, 404, "not_found", "There is nothing at this address."},
	{access.ErrInvite, 410, "invite_used", "This invitation was used, revoked, or is older than a day. Ask for a new one."},
	{access.ErrMember, 409, "member_already", "You work in this shop already."},
	{access.ErrRole, 403, "role_not_yours", "This role is not yours to give or to take away. Ask an owner."},
	{access.ErrLastOwner, 409, "last_owner", "This is the last owner. Make somebody else an owner first."},
	{access.ErrPINForm, 400, "invalid_field", pinProblem},
	{access.ErrPairing, 422, "pairing_refused", "This code is wrong, was used, or is too old. Ask for a new one."},
	{errNoTill, 403, "no_till", "This tablet belongs to no shop any more."},
	{errLocked, 403, "till_locked", "The till is locked. Unlock it with a PIN."},
	{errNoShop, 403, "no_shop", "You do not belong to a shop yet."},
	{errTooOften, 429, "too_many_tries", "That was wrong too often. Try again in a minute."},
	{errTooMany, 429, "too_many_requests", "That was more than one visitor may ask for at once. Wait a moment, and try again."},
	{errCrowded, 429, "link_busy", "Too many people begin to pay here at this moment. Nothing was charged; try again."},
	{errScope, 403, "forbidden", "This key may not do that."},
	{access.ErrKeyMismatch, 422, "idempotency_mismatch", "This idempotency key was used with another request."},
	{access.ErrKeyRunning, 409, "idempotency_running", "The first request with this idempotency key is still running."},
	{errKeyForm, 400, "idempotency_key", "An idempotency key has 1 to 255 visible characters, and at least 22 on public calls."},
	{errJSON, 400, "invalid_json", "Send one JSON object in UTF-8, with each name once."},
	{errNotForPublic, 401, "unauthorized", "Send the shop's API key."},
	{errPath, 400, "ambiguous_path", "This path could be read in more than one way. Write it plainly."},
	{errCallback, 401, "signature_refused", "The callback is not signed with the facilitator's secret."},
	{checkout.ErrFacilitatorKey, 401, "unauthorized", "Send a shop's API key."},
	{errMisdirected, 421, "misdirected", "This server answers for another address."},
	{errCrossOrigin, 403, "cross_origin", "This form was sent from another site."},
}

// retryAfter is how many seconds to wait, for the answers that ask for patience.
var retryAfter = map[int]string{http.StatusServiceUnavailable: "5", http.StatusTooManyRequests: "60"}

// askForPatience says when to come again, unless that was said more exactly.
func askForPatience(c echo.Context, status int) {
	header := c.Response().Header()
	if wait, ok := retryAfter[status]; ok && header.Get("Retry-After") == "" {
		header.Set("Retry-After", wait)
	}
}

// replyTo says what an error means; what is unknown is our own fault and tells nothing.
func replyTo(err error) (r reply, field string) {
	var wrong *shop.FieldError
	if errors.As(err, &wrong) {
		return reply{err, 400, "invalid_field", wrong.Message}, wrong.Field
	}
	var key *access.KeyFormError
	if errors.As(err, &key) {
		return reply{err, 400, "invalid_field", key.Message}, key.Field
	}
	var refused *webhook.FieldError
	if errors.As(err, &refused) {
		return reply{err, 400, "invalid_field", refused.Message}, refused.Field
	}
	var mistaken *ledger.FieldError
	if errors.As(err, &mistaken) {
		return reply{err, 400, "invalid_field", mistaken.Message}, mistaken.Field
	}
	var unknown *ledger.NewDestinationError
	if errors.As(err, &unknown) {
		return reply{err, 409, "destination_new", newDestination(unknown)}, "destination_wallet"
	}
	var lacks *lacksError
	if errors.As(err, &lacks) {
		return reply{err, 403, "role_forbids", lacks.sentence()}, ""
	}
	if errors.Is(err, access.ErrMessage) {
		return reply{err, 401, "message_refused", messageRefusal(err)}, ""
	}
	var amount error
	for _, kind := range []error{money.ErrSyntax, money.ErrPrecision, money.ErrRange} {
		if errors.Is(err, kind) {
			amount = kind
		}
	}
	if amount != nil {
		return reply{err, 400, "invalid_field", amountProblem}, "price"
	}
	var invalid *x402.Invalid
	if errors.As(err, &invalid) {
		return reply{err, 402, "payment_refused", refusalSentence(invalid.Kind)}, ""
	}
	for _, r := range replies {
		if errors.Is(err, r.err) {
			return r, ""
		}
	}
	var he *echo.HTTPError
	if errors.As(err, &he) {
		return reply{err, he.Code, codeOf(he.Code), sentenceOf(he.Code)}, ""
	}
	if postgres.Unreachable(err) {
		return reply{err, 503, "unavailable", "The shop cannot answer right now. If you were paying, do not pay again: look here in a moment."}, ""
	}
	return reply{err, 500, "internal", "Something went wrong on our side. If you were paying, look here again before you pay anew."}, ""
}

// newDestination says why money does not go to an address yet.
func newDestination(e *ledger.NewDestinationError) string {
	if e.From.IsZero() {
		return "This address is not one of your payout addresses. Add it on the page of payouts: 24 hours later money can go there."
	}
	return "This payout address is new: money can go there from " + e.From.UTC().Format("2 January 2006, 15:04") + " UTC on."
}

// messageRefusal says what is wrong with a signed message.
func messageRefusal(err error) string {
	_, why, found := strings.Cut(err.Error(), access.ErrMessage.Error()+": ")
	if !found {
		return "The signed message is not a sign-in for this site."
	}
	return "The signed message is not a sign-in for this site: " + why + "."
}

func codeOf(status int) string {
	return strings.ReplaceAll(strings.ToLower(http.StatusText(status)), " ", "_")
}

func sentenceOf(status int) string {
	switch status {
	case http.StatusNotFound:
		return "There is nothing at this address."
	case http.StatusMethodNotAllowed:
		return "This address does not take that kind of request."
	case http.StatusRequestEntityTooLarge:
		return "The request is too large."
	case http.StatusRequestTimeout:
		return "The request took too long to arrive."
	case http.StatusUnsupportedMediaType, http.StatusBadRequest:
		return "The request could not be read."
	default:
		return "The request could not be answered."
	}
}

// refusalSentence tells a buyer why a payment was refused.
func refusalSentence(k x402.Kind) string {
	switch k {
	case x402.Funds:
		return "This wallet holds less than the price. Nothing was paid."
	case x402.Expired, x402.NotYetValid, x402.TooLong:
		return "The approval is not valid at this time. Check the clock and approve again."
	case x402.NonceUsed:
		return "This approval was used or cancelled before. Nothing more was paid."
	case x402.Signature:
		return "The approval is not signed by this wallet. Nothing was paid."
	case x402.Undeployed:
		return "This wallet is not on the network yet. Send something from it first, then approve again. Nothing was paid."
	case x402.Declined:
		return "The service that moves payments does not take this one. Use another wallet, or try again later. Nothing was paid."
	case x402.Unreliable:
		return "Too many payments of this wallet failed. Use another wallet, or try again later. Nothing was paid."
	case x402.Amount:
		return "The approval is not for exactly the price. Nothing was paid."
	case x402.Malformed, x402.TooLarge, x402.Version:
		return "The payment could not be read. Nothing was paid."
	default:
		return "The payment does not fit what is asked for. Nothing was paid."
	}
}

// fail turns any error into an answer: JSON for programs, a page for people.
func (h *Handlers) fail(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	r, field := replyTo(err)
	askForPatience(c, r.status)
	c.Response().Header().Set("Cache-Control", "no-store")
	var sent error
	elsewhere := h.elsewhere(c, r)
	switch {
	case strings.HasPrefix(c.Request().URL.Path, "/api/") || !wantsPage(c.Request()):
		sent = c.JSON(r.status, errorBody(c, r, field))
	case elsewhere != "" && isScript(c.Request()):
		c.Response().Header().Set("HX-Redirect", elsewhere)
		sent = c.NoContent(r.status)
	case elsewhere != "":
		sent = c.Redirect(http.StatusSeeOther, elsewhere)
	default:
		sent = h.Page(c, r.status, views.ErrorPage(errorView(c, r)))
	}
	if sent != nil {
		c.Logger().Error(sent)
	}
}

type errorJSON struct {
	Error errorDetail `json:"error"`
}

type errorDetail struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	Field     string `json:"field,omitempty"`
	RequestID string `json:"request_id"`
}

func errorBody(c echo.Context, r reply, field string) errorJSON {
	return errorJSON{errorDetail{Code: r.code, Message: r.message, Field: field, RequestID: requestID(c)}}
}
