package ledger

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"xsynesis/evm"
	"xsynesis/fault"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
	"xsynesis/x402"
)

// Sending is money on its way from an address of ours: a payout, or a refund.
type Sending struct {
	ID          string // of the payout or refund; it names the one nonce with which the money can move
	Merchant    id.Merchant
	Network     string // CAIP-2
	Asset       string // token address in lower case
	To          string // address in lower case
	Amount      money.USDC
	Taken       money.USDC // what of it is taken from what is owed to the shop; the rest the platform gives back
	Transaction string     // once it was sent
	Block       uint64     // once it is completed
}

// Owner hears what becomes of a sending, in the transactions that say so.
type Owner interface {
	// Stands is asked before anything is signed. A sentence says why this must not be sent, and ends it.
	Stands(ctx context.Context, sending string) (why string, err error)
	// SentTx is told when the first transaction is written down that goes out as soon as this commits, if one does.
	SentTx(ctx context.Context, tx pgx.Tx, now time.Time, s Sending) error
	// CompletedTx is told when the chain shows that the money moved; once.
	CompletedTx(ctx context.Context, tx pgx.Tx, now time.Time, s Sending) error
	// MovedTx is told when another block holds what was completed, maybe by another transaction.
	MovedTx(ctx context.Context, tx pgx.Tx, now time.Time, s Sending) error
	// LostTx is told when the chain took back what was completed, and it never can move. FailedTx follows at once.
	LostTx(ctx context.Context, tx pgx.Tx, now time.Time, s Sending) error
	// FailedTx is told when it never moved and never will; once. why is a sentence.
	FailedTx(ctx context.Context, tx pgx.Tx, now time.Time, s Sending, why string) error
}

// validFor is how long an authorization counts from the moment in which it may first be signed.
const validFor = time.Hour

// again is when a sending is looked at next whose outcome is open.
const again = 2 * time.Second

// errLost is returned when another worker took over a sending's lease.
var errLost = errors.New("ledger: lease lost")

// nonceOf is the one nonce with which a payout or refund can move: the token takes it once, whoever sends it, also where a
// restored database has forgotten that it did.
func nonceOf(sending string) common.Hash {
	return crypto.Keccak256Hash([]byte("xsynesis:payout:v1"), []byte(sending))
}

// SendTx takes money that is owed to a shop and has it sent. The caller posts the entries, in the same transaction.
// Errors: [ErrReadOnly], [ErrNothingCollected], [ErrInsufficient].
func (c *Custody) SendTx(ctx context.Context, tx pgx.Tx, now time.Time, s Sending) error {
	q := queries.New()
	owed, err := LockOwedTx(ctx, tx, s.Merchant, s.Network, s.Asset)
	if err != nil {
		return err
	}
	behind, err := q.AnyStray(ctx, tx)
	if err != nil {
		return fmt.Errorf("look for what the books lack: %w", err)
	}
	if behind {
		return ErrReadOnly
	}
	from, err := q.DepositOf(ctx, tx, queries.DepositOfParams{MerchantID: string(s.Merchant), Network: s.Network})
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNothingCollected
	}
	if err != nil {
		return fmt.Errorf("deposit address of %s: %w", s.Merchant, err)
	}
	if owed < s.Taken {
		return fmt.Errorf("%w: %s of %s", ErrInsufficient, s.Taken, owed)
	}
	err = q.SendingInsert(ctx, tx, queries.SendingInsertParams{
		ID: s.ID, MerchantID: s.Merchant, Network: s.Network, Asset: s.Asset, PayFrom: from.Address, PayTo: s.To, Amount: s.Amount,
		Nonce: nonceOf(s.ID).Hex(), CreatedAt: now,
	})
	if err != nil {
		return fmt.Errorf("queue %s: %w", s.ID, err)
	}
	if _, err := c.jobs.InsertTx(ctx, tx, SendArgs{s.ID}, nil); err != nil {
		return fmt.Errorf("give %s a job: %w", s.ID, err)
	}
	return nil
}

// Send brings a sending to its end, as far as the chain answers today. It may be run at any time, any number of times, by
// any number of workers. It returns a snooze while the outcome is open.
func (c *Custody) Send(ctx context.Context, sending string) error {
	lease := make([]byte, 16)
	_, _ = rand.Read(lease)
	now := c.now()
	row, err := queries.New().SendingLease(ctx, c.pool, queries.SendingLeaseParams{ID: sending, Lease: lease, Now: now, Until: now.Add(c.o.Lease)})
	if errors.Is(err, pgx.ErrNoRows) {
		return c.untaken(ctx, sending)
	}
	if err != nil {
		return fmt.Errorf("lease %s: %w", sending, err)
	}
	fault.At(fault.PayoutLeased)
	defer c.renew(ctx, sending, lease)()
	proof, err := c.move(ctx, &row)
	return c.conclude(ctx, row, proof, err)
}

// untaken asks for another look at a sending that somebody else works on: he may die with it.
func (c *Custody) untaken(ctx context.Context, sending string) error {
	row, err := queries.New().SendingByID(ctx, c.pool, sending)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", sending, err)
	}
	if row.LostAt == nil && (row.Status == "completed" || row.Status == "failed") {
		return nil
	}
	return river.JobSnooze(again)
}

// renew keeps a lease while this worker lives and needs it. The caller ends it.
func (c *Custody) renew(ctx context.Context, sending string, lease []byte) (end func()) {
	ctx, end = context.WithCancel(ctx)
	go func() {
		tick := time.NewTicker(max(c.o.Lease/3, 100*time.Millisecond))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			n, err := queries.New().SendingRenew(ctx, c.pool, queries.SendingRenewParams{ID: sending, Lease: lease, Until: c.now().Add(c.o.Lease)})
			if err == nil && n == 0 { // it ended, or is another worker's
				return
			}
		}
	}()
	return end
}

// refused is why a sending that surely was never signed ends.
type refused struct{ why string }

func (e *refused) Error() string { return e.why }

// move sends the money, or finds out what became of it when it was sent before.
func (c *Custody) move(ctx context.Context, row *queries.Sending) (evm.Proof, error) {
	chain, ok := c.o.Chains[row.Network]
	settler := c.o.Settlers[row.Network]
	if !ok || settler == nil || c.o.Vault == nil {
		return evm.Proof{}, fmt.Errorf("%w: this process cannot send on %s", evm.ErrUnavailable, row.Network)
	}
	fresh := row.Status == "queued"
	if fresh {
		until := c.now().Add(validFor).Unix()
		row.ValidBefore = &until
	}
	auth := authorizationOf(*row)
	// The chain comes first: it may have moved the money already, and the books may be older than that.
	proof, err := chain.ResolveSince(ctx, auth, row.CreatedAt.Add(-validFor))
	if !errors.Is(err, evm.ErrOpen) {
		return proof, err
	}
	if fresh {
		if err := c.begin(ctx, chain, *row); err != nil {
			return evm.Proof{}, err
		}
	}
	key, err := c.keyOf(ctx, row.MerchantID, row.Network)
	if err != nil {
		return evm.Proof{}, err
	}
	signature, err := x402.Sign(auth, chain.Network().Token, key)
	if err != nil {
		return evm.Proof{}, fmt.Errorf("sign %s: %w", row.ID, err)
	}
	return settler.Settle(ctx, evm.Transfer{Source: row.ID, Authorization: auth, Signature: signature, Lease: row.Lease}, c)
}

// begin makes sure that nothing speaks against a sending, and writes down that it may be signed from now on.
func (c *Custody) begin(ctx context.Context, chain *evm.Chain, row queries.Sending) error {
	if err := c.compareOnce(ctx, row.Network); err != nil {
		return err
	}
	behind, err := queries.New().AnyStray(ctx, c.pool)
	if err != nil {
		return fmt.Errorf("look for what the books lack: %w", err)
	}
	if behind {
		return ErrReadOnly
	}
	owner, err := c.ownerOf(row.ID)
	if err != nil {
		return err
	}
	if why, err := owner.Stands(ctx, row.ID); err != nil || why != "" {
		return cmp.Or(err, error(&refused{why}))
	}
	err = chain.CanSend(ctx, common.HexToAddress(row.PayFrom), common.HexToAddress(row.PayTo), row.Amount)
	var invalid *x402.Invalid
	if errors.As(err, &invalid) {
		return &refused{sentenceOf(invalid)}
	}
	if err != nil {
		return err
	}
	n, err := queries.New().SendingProcess(ctx, c.pool, queries.SendingProcessParams{ID: row.ID, Lease: row.Lease, ValidBefore: *row.ValidBefore, Now: c.now()})
	if err == nil && n == 0 {
		err = errLost
	}
	if err != nil {
		return fmt.Errorf("begin %s: %w", row.ID, err)
	}
	fault.At(fault.PayoutSigning)
	return nil
}

// sentenceOf tells a shop why the token does not take a transfer.
func sentenceOf(invalid *x402.Invalid) string {
	if invalid.Kind == x402.Funds {
		return "The address that is kept for you holds less than this."
	}
	return "USDC does not pay this address."
}

func authorizationOf(row queries.Sending) x402.Authorization {
	return x402.Authorization{
		From: common.HexToAddress(row.PayFrom), To: common.HexToAddress(row.PayTo), Value: big.NewInt(int64(row.Amount)),
		ValidAfter: new(big.Int), ValidBefore: big.NewInt(*row.ValidBefore), Nonce: common.HexToHash(row.Nonce),
	}
}

// StoredTx notes sendings whose transactions are about to go out, unless one of them is another worker's.
func (c *Custody) StoredTx(ctx context.Context, tx pgx.Tx, stored []evm.Stored) error {
	now := c.now()
	for _, each := range stored {
		r, err := queries.New().SendingSent(ctx, tx, queries.SendingSentParams{
			ID: each.Source, Lease: each.Lease, Transaction: each.Transaction.Hex(), Now: now,
		})
		if errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("%s: %w", each.Source, errLost)
		}
		if err != nil {
			return fmt.Errorf("note that %s goes out: %w", each.Source, err)
		}
		if r.Was != "processing" { // it was told before
			continue
		}
		owner, err := c.ownerOf(each.Source)
		if err != nil {
			return err
		}
		if err := owner.SentTx(ctx, tx, now, sendingOf(r.Sending)); err != nil {
			return fmt.Errorf("tell that %s goes out: %w", each.Source, err)
		}
	}
	return nil
}

// conclude writes down what the move came to.
func (c *Custody) conclude(ctx context.Context, row queries.Sending, proof evm.Proof, err error) error {
	var no *refused
	switch {
	case err == nil && row.LostAt != nil:
		return c.found(ctx, row, proof)
	case err == nil:
		return c.complete(ctx, row, proof)
	case errors.As(err, &no):
		return c.fail(ctx, row, no.why)
	case errors.Is(err, evm.ErrVoid):
		if err = c.gone(ctx, row); err == nil {
			return c.fail(ctx, row, voidText(row))
		}
	case errors.Is(err, errLost):
		return river.JobSnooze(again)
	}
	return c.leave(ctx, row, err)
}

// gone makes sure that an authorization never moved and never will: where there are several nodes, the word of one is not
// enough for giving money back.
func (c *Custody) gone(ctx context.Context, row queries.Sending) error {
	for _, node := range c.o.Chains[row.Network].Apart() {
		if _, err := node.Resolve(ctx, authorizationOf(row)); !errors.Is(err, evm.ErrVoid) {
			return fmt.Errorf("%w: not every node says that %s is gone", evm.ErrUnknown, row.ID)
		}
	}
	return nil
}

func voidText(row queries.Sending) string {
	if row.LostAt != nil {
		return "The network took it back, and did not take it again in time. The money is back in your balance."
	}
	return "The network did not take it in time. The money is back in your balance."
}

// found writes down where a sending is whose block was gone.
func (c *Custody) found(ctx context.Context, row queries.Sending, proof evm.Proof) error {
	now := c.now()
	err := pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		back, err := queries.New().SendingFound(ctx, tx, queries.SendingFoundParams{
			ID: row.ID, Transaction: proof.Transaction.Hex(), BlockNumber: int64(proof.Block), BlockHash: proof.BlockHash.Hex(), Now: now,
		})
		if err != nil {
			return err
		}
		owner, err := c.ownerOf(row.ID)
		if err != nil {
			return err
		}
		return owner.MovedTx(ctx, tx, now, sendingOf(back))
	})
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("find %s: %w", row.ID, err)
	}
	slog.WarnContext(ctx, "money that was sent is in another block", "sending", row.ID, "merchant", row.MerchantID, "tx", proof.Transaction, "block", proof.Block)
	return nil
}

func (c *Custody) complete(ctx context.Context, row queries.Sending, proof evm.Proof) error {
	now := c.now()
	err := pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		done, err := queries.New().SendingComplete(ctx, tx, queries.SendingCompleteParams{
			ID: row.ID, Transaction: proof.Transaction.Hex(), BlockNumber: int64(proof.Block), BlockHash: proof.BlockHash.Hex(), ValidBefore: *row.ValidBefore, Now: now,
		})
		if err != nil {
			return err
		}
		owner, err := c.ownerOf(row.ID)
		if err != nil {
			return err
		}
		if err := owner.CompletedTx(ctx, tx, now, sendingOf(done)); err != nil {
			return err
		}
		fault.At(fault.PayoutRecording)
		return nil
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // by somebody else
	}
	if err != nil {
		return fmt.Errorf("complete %s: %w", row.ID, err)
	}
	fault.At(fault.PayoutRecorded)
	slog.InfoContext(ctx, "sent", "sending", row.ID, "merchant", row.MerchantID, "amount", row.Amount, "tx", proof.Transaction)
	return nil
}

// fail ends a sending whose money never moved, or moved back. It does so only while the lease is ours: nobody else can sign
// meanwhile.
func (c *Custody) fail(ctx context.Context, row queries.Sending, why string) error {
	now := c.now()
	err := pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		done, err := queries.New().SendingFail(ctx, tx, queries.SendingFailParams{ID: row.ID, Lease: row.Lease, LastError: why, Now: now})
		if err != nil {
			return err
		}
		owner, err := c.ownerOf(row.ID)
		if err != nil {
			return err
		}
		if done.Was == "completed" {
			if err := owner.LostTx(ctx, tx, now, sendingOf(done.Sending)); err != nil {
				return err
			}
		}
		return owner.FailedTx(ctx, tx, now, sendingOf(done.Sending), why)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return river.JobSnooze(again) // another worker's by now
	}
	if err != nil {
		return fmt.Errorf("fail %s: %w", row.ID, err)
	}
	slog.WarnContext(ctx, "not sent", "sending", row.ID, "merchant", row.MerchantID, "amount", row.Amount, "cause", why)
	return nil
}

// leave gives the lease back and asks for another look.
func (c *Custody) leave(ctx context.Context, row queries.Sending, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_, err := queries.New().SendingUnlease(ctx, c.pool, queries.SendingUnleaseParams{ID: row.ID, Lease: row.Lease, LastError: reason(cause), Now: c.now()})
	if err != nil {
		return fmt.Errorf("leave %s: %w", row.ID, err)
	}
	slog.WarnContext(ctx, "sending is open", "sending", row.ID, "cause", cause)
	return river.JobSnooze(again)
}

// reason is what a shop may read of an error: its kind, without addresses of servers.
func reason(err error) string {
	switch {
	case errors.Is(err, ErrReadOnly):
		return "Waits: the network shows payments that the books do not know of."
	case errors.Is(err, evm.ErrUnfunded):
		return "Waits until the fees of the network can be paid."
	case errors.Is(err, evm.ErrUnavailable):
		return "The network does not answer."
	case errors.Is(err, evm.ErrUnknown):
		return "Sent; the network has not confirmed it yet."
	default:
		return "Interrupted; it is looked at again."
	}
}

// ownerOf finds who hears of a sending.
func (c *Custody) ownerOf(sending string) (Owner, error) {
	for prefix, owner := range c.owners {
		if len(sending) > len(prefix) && sending[:len(prefix)] == prefix {
			return owner, nil
		}
	}
	return nil, fmt.Errorf("%w: nobody owns %s", ErrNotFound, sending)
}

func sendingOf(r queries.Sending) Sending {
	s := Sending{ID: r.ID, Merchant: r.MerchantID, Network: r.Network, Asset: r.Asset, To: r.PayTo, Amount: r.Amount, Transaction: r.Transaction}
	if r.BlockNumber != nil {
		s.Block = uint64(*r.BlockNumber)
	}
	return s
}
