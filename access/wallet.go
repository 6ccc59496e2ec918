package access

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/jackc/pgx/v5"

	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/queries"
	"xsynesis/x402"
)

// maxSignature is how long a signature of a contract wallet may be, in bytes.
const maxSignature = 4 << 10

// Signed is a message of EIP-4361 and its signature in hexadecimal, as a wallet gave it.
type Signed struct {
	Message   string
	Signature string
}

// Asked is a question to a wallet.
type Asked struct {
	Nonce     string
	ExpiresAt time.Time
	Message   string // ready to be signed; empty if it was not said by which address
}

// AskWallet draws a nonce for a message that a wallet is to sign. With an address the whole message is made; chainID is
// the wallet's, as far as it is one that may be named here.
func (g *Gate) AskWallet(ctx context.Context, purpose Purpose, person id.Person, address string, chainID uint64) (Asked, error) {
	a := Asked{Nonce: rand.Text()} // 130 bits
	expires, err := g.ask(ctx, purpose, a.Nonce, person, nil)
	if err != nil {
		return Asked{}, err
	}
	a.ExpiresAt = expires
	if !isAddress(address) {
		return a, nil
	}
	chains := g.chainIDs()
	if !slices.Contains(chains, chainID) && len(chains) > 0 {
		chainID = chains[0]
	}
	a.Message = g.message(purpose, common.HexToAddress(address), chainID, a.Nonce).String()
	return a, nil
}

// statements are what a person reads in his wallet.
var statements = map[Purpose]string{
	ForSignIn: "Sign in. This costs nothing.",
	ForWallet: "Use this wallet to sign in from now on. This costs nothing.",
	ForStepUp: "Confirm that it is you. This costs nothing.",
	ForPayee:  "This address is mine, and is to be paid. This costs nothing.",
}

func (g *Gate) message(purpose Purpose, address common.Address, chainID uint64, nonce string) Message {
	host := g.Origin
	if site, err := url.Parse(g.Origin); err == nil {
		host = site.Host
	}
	return Message{
		Domain: host, Address: address, Statement: statements[purpose], URI: g.Origin, ChainID: chainID, Nonce: nonce, IssuedAt: g.now(),
	}
}

// Proof is an address whose holder signed a message.
type Proof struct {
	Address common.Address
	ChainID uint64 // where the contract stood by it; 0 for a key's account, which is the same everywhere
}

// holds tells whether a proof is one for a wallet that was added on a chain. A key's own signature is one for all.
func (p Proof) holds(chainID int64) bool { return p.ChainID == 0 || p.ChainID == uint64(chainID) }

// SignedBy returns whose signature a message carries, after checking all that it says and that its nonce was asked for
// this purpose, of this person, and is used for the first time. Errors: [ErrMessage], [ErrChallenge], [ErrSignature],
// and evm's where a contract had to be asked and could not.
func (g *Gate) SignedBy(ctx context.Context, purpose Purpose, person id.Person, s Signed) (Proof, error) {
	signature, err := hexutil.Decode(s.Signature)
	if err != nil || len(signature) == 0 || len(signature) > maxSignature {
		return Proof{}, ErrSignature
	}
	m, err := ParseMessage(s.Message)
	if err != nil {
		return Proof{}, err
	}
	if err := m.Check(g.Origin, g.chainIDs(), g.now()); err != nil {
		return Proof{}, err
	}
	if _, err := g.take(ctx, purpose, m.Nonce, person); err != nil {
		return Proof{}, err
	}
	if evm.SignedText(m.Address, s.Message, signature) {
		return Proof{Address: m.Address}, nil
	}
	err = g.chain(m.ChainID).CheckContractSignature(ctx, m.Address, evm.TextDigest(s.Message), signature)
	var invalid *x402.Invalid
	if errors.As(err, &invalid) {
		return Proof{}, ErrSignature
	}
	if err != nil {
		return Proof{}, err
	}
	return Proof{Address: m.Address, ChainID: m.ChainID}, nil
}

// SignInByWallet begins a session of the person whose wallet signed. A wallet that nobody has makes a new person, if
// the newcomer may come in. Errors: those of [Gate.SignedBy], [ErrOtherChain], and [ErrSignupsClosed].
func (g *Gate) SignInByWallet(ctx context.Context, s Signed, n Newcomer, from Browser) (in Entered, err error) {
	proof, err := g.SignedBy(ctx, ForSignIn, "", s)
	if err != nil {
		return in, err
	}
	err = pgx.BeginFunc(ctx, g.pool, func(tx pgx.Tx) error {
		person, err := g.walletPersonTx(ctx, tx, proof, n.joining(from, "wallet "+proof.Address.Hex()))
		if err != nil {
			return err
		}
		in, err = g.beginTx(ctx, tx, Entrance{Person: person, Method: ByWallet, Browser: from})
		return err
	})
	return in, err
}

func (g *Gate) walletPersonTx(ctx context.Context, tx pgx.Tx, proof Proof, n Newcomer) (id.Person, error) {
	person, err := holderOf(ctx, tx, proof)
	if !errors.Is(err, ErrNotFound) {
		return person, err
	}
	if person, err = g.welcomeTx(ctx, tx, n, shortAddress(proof.Address)); err != nil {
		return "", err
	}
	return person, g.addWalletTx(ctx, tx, person, proof)
}

// holderOf is the person whose wallet a proof is one for. Errors: [ErrNotFound], [ErrOtherChain].
func holderOf(ctx context.Context, db queries.DBTX, proof Proof) (id.Person, error) {
	w, err := queries.New().WalletPerson(ctx, db, lower(proof.Address))
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return "", ErrNotFound
	case err != nil:
		return "", fmt.Errorf("whose wallet %s is: %w", proof.Address, err)
	case !proof.holds(w.ChainID):
		return "", ErrOtherChain
	}
	return w.PersonID, nil
}

func (g *Gate) addWalletTx(ctx context.Context, tx pgx.Tx, person id.Person, proof Proof) error {
	n, err := queries.New().WalletInsert(ctx, tx, queries.WalletInsertParams{
		Address: lower(proof.Address), ChainID: int64(proof.ChainID), PersonID: person, CreatedAt: g.now(),
	})
	if err != nil {
		return fmt.Errorf("add a wallet of %s: %w", person, err)
	}
	if n == 0 {
		return ErrTaken
	}
	return nil
}

// Wallet signs its person in.
type Wallet struct {
	Address common.Address
	Since   time.Time
}

// Wallets lists what a person signs in with, the oldest first.
func (g *Gate) Wallets(ctx context.Context, person id.Person) ([]Wallet, error) {
	rows, err := queries.New().WalletList(ctx, g.pool, person)
	if err != nil {
		return nil, fmt.Errorf("wallets of %s: %w", person, err)
	}
	out := make([]Wallet, len(rows))
	for i, r := range rows {
		out[i] = Wallet{Address: common.HexToAddress(r.Address), Since: r.CreatedAt}
	}
	return out, nil
}

// AddWallet lets a person sign in with another wallet. Errors: those of [Gate.SignedBy], [ErrStepUp], and [ErrTaken] for
// one that somebody has, also himself.
func (g *Gate) AddWallet(ctx context.Context, of Session, s Signed, from Browser) error {
	if err := g.mayChange(ctx, of); err != nil {
		return err
	}
	proof, err := g.SignedBy(ctx, ForWallet, of.Person, s)
	if err != nil {
		return err
	}
	return g.change(ctx, of, from, "wallet.added", proof.Address.Hex(), func(tx pgx.Tx) error {
		return g.addWalletTx(ctx, tx, of.Person, proof)
	})
}

// RemoveWallet ends signing in with a wallet. Errors: [ErrStepUp], [ErrNotFound], [ErrLastWayIn].
func (g *Gate) RemoveWallet(ctx context.Context, of Session, address common.Address, from Browser) error {
	return g.remove(ctx, of, from, "wallet.removed", address.Hex(), func(tx pgx.Tx) (int64, error) {
		return queries.New().WalletDelete(ctx, tx, queries.WalletDeleteParams{Address: lower(address), PersonID: of.Person})
	})
}

func lower(a common.Address) string { return strings.ToLower(a.Hex()) }

// shortAddress is what a person is called who only gave an address.
func shortAddress(a common.Address) string { return a.Hex()[:6] + "…" + a.Hex()[38:] }

func isAddress(text string) bool { return strings.HasPrefix(text, "0x") && common.IsHexAddress(text) }
