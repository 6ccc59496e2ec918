// Package fault names the moments at which a shop's computer may lose power while a payment is under way.
//
// Code calls [At] at each of them; nothing happens unless a test armed one of the names in this process.
package fault

import (
	"sync/atomic"
	"syscall"
)

// Step is a moment between, or inside, the writes of one purchase.
type Step string

// The moments, in the order in which one purchase meets them.
const (
	StartTaken      Step = "start.taken"      // the attempt is written, not committed
	StartCommitted  Step = "start.committed"  // the attempt is committed, its page not yet answered
	PayChecked      Step = "pay.checked"      // the payment is verified, nothing is written
	PayClaimed      Step = "pay.claimed"      // claim, settlement and job are written, not committed
	PayCommitted    Step = "pay.committed"    // the claim is committed, nobody settles yet
	SettleLeased    Step = "settle.leased"    // a worker owns the settlement
	RelaySimulated  Step = "relay.simulated"  // the chain would accept it, no relayer nonce is reserved
	RelayReserved   Step = "relay.reserved"   // the relayer nonce is taken, not committed
	RelaySigned     Step = "relay.signed"     // the raw transaction is written, not committed
	RelayStored     Step = "relay.stored"     // the raw transaction is committed, not sent
	RelaySent       Step = "relay.sent"       // the network has it, we have not noted that
	RelayMined      Step = "relay.mined"      // the receipt is seen, nothing is recorded
	SettleRecording Step = "settle.recording" // settlement, sales and entries are written, not committed
	SettleRecorded  Step = "settle.recorded"  // all is committed, the job is not finished
	PayAnswering    Step = "pay.answering"    // the buyer's answer is ready, not sent
)

// Steps lists every moment; a crash test goes through all of them.
var Steps = []Step{
	StartTaken, StartCommitted, PayChecked, PayClaimed, PayCommitted, SettleLeased,
	RelaySimulated, RelayReserved, RelaySigned, RelayStored, RelaySent, RelayMined,
	SettleRecording, SettleRecorded, PayAnswering,
}

// The moments of a call that is paid by the request, beside those of its payment.
const (
	CallClaimed  Step = "call.claimed"  // the claim is committed, the seller's server was not asked
	CallAnswered Step = "call.answered" // that server has answered, nothing of it is written
	CallAsked    Step = "call.asked"    // the answer is kept and its settlement asked for
	CallReleased Step = "call.released" // the payment is let go, its payer was not told
)

// CallSteps lists them, in their order; the last is met by calls that come to nothing.
var CallSteps = []Step{CallClaimed, CallAnswered, CallAsked, CallReleased}

// The moments in which another facilitator moves the money, in their order; a payment of our own relayer's does not meet them.
const (
	FacilitatorRequested Step = "facilitator.requested" // it is committed that it will be asked, nothing is sent
	FacilitatorAnswered  Step = "facilitator.answered"  // it has answered, nothing is recorded
)

// FacilitatorSteps lists them.
var FacilitatorSteps = []Step{FacilitatorRequested, FacilitatorAnswered}

// The moments of a payout or a collected refund beside those of its broadcast, in their order.
const (
	PayoutTaken     Step = "payout.taken"     // it is written and out of the balance, not committed
	PayoutCommitted Step = "payout.committed" // it is committed, nobody sends yet
	PayoutLeased    Step = "payout.leased"    // a worker owns it
	PayoutSigning   Step = "payout.signing"   // it is committed that it may be signed, nothing is
	PayoutRecording Step = "payout.recording" // its arrival is written, not committed
	PayoutRecorded  Step = "payout.recorded"  // all is committed, the job is not finished
)

// PayoutSteps lists every moment of a payout, those of its broadcast among them.
var PayoutSteps = []Step{
	PayoutTaken, PayoutCommitted, PayoutLeased, PayoutSigning, RelaySimulated, RelayReserved, RelaySigned, RelayStored, RelaySent, RelayMined,
	PayoutRecording, PayoutRecorded,
}

// CallbackStored is when what a facilitator called back with is kept, and nothing was done about it.
const CallbackStored Step = "callback.stored"

// The moments in which a merchant's server is told of it, in their order.
const (
	WebhookClaimed  Step = "webhook.claimed"  // the try is committed, nothing is sent
	WebhookAnswered Step = "webhook.answered" // the server has answered, nothing is recorded
	WebhookRecorded Step = "webhook.recorded" // the answer is committed, the job is not finished
)

// WebhookSteps lists them; a payment does not meet them.
var WebhookSteps = []Step{WebhookClaimed, WebhookAnswered, WebhookRecorded}

// The moments in which somebody sees a plain transfer, in their order.
const (
	TransferSeen     Step = "transfer.seen"     // the chain shows it, nothing is written
	TransferTaken    Step = "transfer.taken"    // it is written what it is, not committed
	TransferRecorded Step = "transfer.recorded" // that is committed, nobody was told
	TransfersRead    Step = "transfers.read"    // all of some blocks are recorded; whoever is next reads them again
)

// TransferSteps lists them.
var TransferSteps = []Step{TransferSeen, TransferTaken, TransferRecorded, TransfersRead}

// The moments in which a payment is looked for whose block is gone.
const (
	PaymentLost Step = "payment.lost" // it is noted, the payment was not sent again
	Reversing   Step = "reversing"    // the settlement is reversed, not committed
	Reversed    Step = "reversed"     // all is committed, nobody was told
)

// ReversalSteps lists them.
var ReversalSteps = []Step{PaymentLost, Reversing, Reversed}

// The moments of a refund, in their order; what a worker sends meets those of a payout between the second and the third.
const (
	RefundCreating Step = "refund.creating" // it is written, not committed
	RefundCreated  Step = "refund.created"  // it is committed, nobody was told
	RefundProven   Step = "refund.proven"   // the chain shows the shop's own transfer, nothing is recorded
	RefundRecorded Step = "refund.recorded" // that is committed, nobody was told
)

// RefundSteps lists them.
var RefundSteps = []Step{RefundCreating, RefundCreated, RefundProven, RefundRecorded}

// arming is a step, and how often it is still met before the process dies there.
type arming struct {
	step Step
	left atomic.Int64
}

var armed atomic.Pointer[arming]

// Arm makes the next [At] of this step kill the process with SIGKILL.
func Arm(s Step) { ArmNth(s, 1) }

// ArmNth is [Arm] for where the step is met for the nth time from now.
func ArmNth(s Step, n int64) {
	a := &arming{step: s}
	a.left.Store(n)
	armed.Store(a)
}

// At dies here if this step is armed.
func At(s Step) {
	if a := armed.Load(); a != nil && a.step == s && a.left.Add(-1) == 0 {
		_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way; nothing after this line may run
	}
}
