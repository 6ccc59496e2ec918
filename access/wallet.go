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

// SignedBy returns whose signature a message carries, after checking all that it says and that its nonce was asked for
// this purpose, of this person, and is used for the first time. Errors: [ErrMessage], [ErrChallenge], [ErrSignature],
// and evm's where a contract had to be asked and could not.
func (g *Gate) SignedBy(ctx context.Context, purpose Purpose, person id.Person, s Signed) (common.Address, error) {
	signature, err := hexutil.Decode(s.Signature)
	if err != nil || len(signature) == 0 || len(signature) > maxSignature {
		return common.Address{}, ErrSignature
	}
	m, err := ParseMessage(s.Message)
	if err != nil {
		return common.Address{}, err
	}
	if err := m.Check(g.Origin, g.chainIDs(), g.now()); err != nil {
		return common.Address{}, err
	}
	if _, err := g.take(ctx, purpose, m.Nonce, person); err != nil {
		return common.Address{}, err
	}
	if signedBy(m.Address, s.Message, signature) {
		return m.Address, nil
	}
	err = g.chain(m.ChainID).CheckContractSignature(ctx, m.Address, personalDigest(s.Message), signature)
	var invalid *x402.Invalid
	if errors.As(err, &invalid) {
		return common.Address{}, ErrSignature
	}
	return m.Address, err
}

// SignInByWallet begins a session of the person whose wallet signed. A wallet that nobody has makes a new person, if
// the newcomer may come in. Errors: those of [Gate.SignedBy], and [ErrSignupsClosed].
func (g *Gate) SignInByWallet(ctx context.Context, s Signed, n Newcomer, from Browser) (in Entered, err error) {
	address, err := g.SignedBy(ctx, ForSignIn, "", s)
	if err != nil {
		return in, err
	}
	err = pgx.BeginFunc(ctx, g.pool, func(tx pgx.Tx) error {
		person, err := g.walletPersonTx(ctx, tx, address, n)
		if err != nil {
			return err
		}
		in, err = g.enterTx(ctx, tx, Entrance{Person: person, Method: ByWallet, Browser: from})
		return err
	})
	return in, err
}

func (g *Gate) walletPersonTx(ctx context.Context, tx pgx.Tx, address common.Address, n Newcomer) (id.Person, error) {
	q := queries.New()
	person, err := q.WalletPerson(ctx, tx, lower(address))
	if !errors.Is(err, pgx.ErrNoRows) {
		return person, err
	}
	if person, err = g.welcomeTx(ctx, tx, n, shortAddress(address)); err != nil {
		return "", err
	}
	return person, g.addWalletTx(ctx, tx, person, address)
}

func (g *Gate) addWalletTx(ctx context.Context, tx pgx.Tx, person id.Person, address common.Address) error {
	n, err := queries.New().WalletInsert(ctx, tx, queries.WalletInsertParams{Address: lower(address), PersonID: person, CreatedAt: g.now()})
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
	address, err := g.SignedBy(ctx, ForWallet, of.Person, s)
	if err != nil {
		return err
	}
	return g.change(ctx, of, from, "wallet.added", address.Hex(), func(tx pgx.Tx) error {
		return g.addWalletTx(ctx, tx, of.Person, address)
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
