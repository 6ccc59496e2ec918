package evm

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"xsynesis/money"
	"xsynesis/x402"
)

const word = 32

// The token's calls and logs that a payment by signature meets.
var (
	callTransferVRS   = selector("transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)")
	callTransferBytes = selector("transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,bytes)")
	callState         = selector("authorizationState(address,bytes32)")
	callBalance       = selector("balanceOf(address)")
	callName          = selector("name()")
	callVersion       = selector("version()")
	callBlocked       = selector("isBlacklisted(address)")
	callThreshold     = selector("getThreshold()") // of a Safe
	callOwners        = selector("getOwners()")
	callSignature     = selector("isValidSignature(bytes32,bytes)") // its answer for yes, too

	topicUsed      = crypto.Keccak256Hash([]byte("AuthorizationUsed(address,bytes32)"))
	topicCancelled = crypto.Keccak256Hash([]byte("AuthorizationCanceled(address,bytes32)"))
	topicTransfer  = crypto.Keccak256Hash([]byte("Transfer(address,address,uint256)"))
)

func selector(signature string) []byte { return crypto.Keccak256([]byte(signature))[:4] }

// transferCall is the calldata that moves the money. The signature of a key goes as (v, r, s), which costs less; that of a
// payer with code is its contract's own affair and goes as the bytes it is, however long.
func transferCall(a x402.Authorization, signature []byte, code bool) []byte {
	vrs := !code && len(signature) == crypto.SignatureLength
	data := make([]byte, 0, 4+11*word+len(signature))
	if vrs {
		data = append(data, callTransferVRS...)
	} else {
		data = append(data, callTransferBytes...)
	}
	data = append(data, addressWord(a.From)...)
	data = append(data, addressWord(a.To)...)
	for _, n := range []*big.Int{a.Value, a.ValidAfter, a.ValidBefore} {
		data = append(data, common.BigToHash(n).Bytes()...)
	}
	data = append(data, a.Nonce.Bytes()...)
	if vrs {
		data = append(data, uintWord(uint64(signature[64]))...)
		return append(data, signature[:64]...)
	}
	data = append(data, uintWord(7*word)...)
	return append(data, bytesTail(signature)...)
}

// signatureCall asks a contract whether it stands by a signature (EIP-1271).
func signatureCall(digest common.Hash, signature []byte) []byte {
	data := append([]byte{}, callSignature...)
	data = append(data, digest.Bytes()...)
	data = append(data, uintWord(2*word)...)
	return append(data, bytesTail(signature)...)
}

func call(selector []byte, words ...[]byte) []byte {
	data := append([]byte{}, selector...)
	for _, w := range words {
		data = append(data, w...)
	}
	return data
}

// bytesTail is the ABI form of a byte string: its length, then itself, filled up to whole words.
func bytesTail(b []byte) []byte {
	padded := make([]byte, (len(b)+word-1)/word*word)
	copy(padded, b)
	return append(uintWord(uint64(len(b))), padded...)
}

func addressWord(a common.Address) []byte { return common.LeftPadBytes(a.Bytes(), word) }

func uintWord(n uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, word-8), n) }

// smallUint reads a word that must fit in 64 bits.
func smallUint(w []byte) (uint64, bool) {
	for _, b := range w[:word-8] {
		if b != 0 {
			return 0, false
		}
	}
	return binary.BigEndian.Uint64(w[word-8:]), true
}

// decodeString reads the one string that a call returned.
func decodeString(data []byte) (string, error) {
	const head = 2 * word
	if len(data) >= head {
		if length, ok := smallUint(data[word:head]); ok && length <= uint64(len(data)-head) { //nolint:gosec // At least zero, checked above.
			return string(data[head : head+length]), nil
		}
	}
	return "", fmt.Errorf("%w: %d bytes are no string", ErrUnavailable, len(data))
}

// refusal turns the token's own words into the protocol's kinds.
func refusal(reason string) *x402.Invalid {
	text := strings.ToLower(reason)
	kind := x402.Simulation
	for _, known := range []struct {
		words string
		kind  x402.Kind
	}{
		{"used or canceled", x402.NonceUsed},
		{"exceeds balance", x402.Funds},
		{"not yet valid", x402.NotYetValid},
		{"expired", x402.Expired},
		{"invalid signature", x402.Signature},
	} {
		if strings.Contains(text, known.words) {
			kind = known.kind
			break
		}
	}
	return &x402.Invalid{Kind: kind, Detail: reason}
}

// receipt is what the log search and the block's receipts say of one transaction.
type receipt struct {
	Hash      common.Hash    `json:"transactionHash"`
	BlockHash common.Hash    `json:"blockHash"`
	Block     hexutil.Uint64 `json:"blockNumber"`
	Status    hexutil.Uint64 `json:"status"`
	Logs      []logEntry     `json:"logs"`
	From      common.Address `json:"from"`
	GasUsed   hexutil.Uint64 `json:"gasUsed"`
	GasPrice  *hexutil.Big   `json:"effectiveGasPrice"`
	DataFee   *hexutil.Big   `json:"l1Fee"` // what a rollup asks for its data, beside the gas
}

type logEntry struct {
	Address   common.Address `json:"address"`
	Topics    []common.Hash  `json:"topics"`
	Data      hexutil.Bytes  `json:"data"`
	Index     hexutil.Uint64 `json:"logIndex"`
	Hash      common.Hash    `json:"transactionHash"`
	Block     hexutil.Uint64 `json:"blockNumber"`
	BlockHash common.Hash    `json:"blockHash"`
	Removed   bool           `json:"removed"`
}

func (r receipt) succeeded() bool { return r.Status == 1 }

// payment looks for the authorization's use in a receipt. found says that its AuthorizationUsed is there;
// paid, that the token's next log is the Transfer that was signed.
func (r receipt) payment(token common.Address, a x402.Authorization) (transfer logEntry, found, paid bool) {
	if !r.succeeded() {
		return logEntry{}, false, false
	}
	for _, l := range r.Logs {
		if l.Address != token || l.Removed || l.Hash != r.Hash || l.BlockHash != r.BlockHash {
			continue
		}
		if found {
			return l, true, l.transfers(a)
		}
		found = l.uses(topicUsed, a)
	}
	return logEntry{}, found, false
}

func (l logEntry) uses(topic common.Hash, a x402.Authorization) bool {
	return len(l.Topics) == 3 && l.Topics[0] == topic &&
		l.Topics[1] == common.BytesToHash(a.From.Bytes()) && l.Topics[2] == a.Nonce
}

func (l logEntry) transfers(a x402.Authorization) bool {
	return len(l.Topics) == 3 && l.Topics[0] == topicTransfer &&
		l.Topics[1] == common.BytesToHash(a.From.Bytes()) && l.Topics[2] == common.BytesToHash(a.To.Bytes()) &&
		len(l.Data) == word && new(big.Int).SetBytes(l.Data).Cmp(a.Value) == 0
}

// proof is the payment's place on the chain.
func (c *Chain) proof(r receipt, transfer logEntry, a x402.Authorization, b Block) Proof {
	p := Proof{
		Transaction: r.Hash, Block: b.Number, BlockHash: b.Hash, LogIndex: uint(transfer.Index),
		Payer: a.From, Payee: a.To, Value: money.USDC(a.Value.Int64()), Time: b.Time,
	}
	if _, ours := c.relayers.Load(r.From); ours {
		p.Gas = r.share(c.network.Token.Address, a)
	}
	return p
}

// share is a payment's part of what its transaction cost, in wei: all that it moved pay the same, and together the whole.
func (r receipt) share(token common.Address, a x402.Authorization) int64 {
	if r.GasPrice == nil {
		return 0
	}
	cost := new(big.Int).Mul(new(big.Int).SetUint64(uint64(r.GasUsed)), r.GasPrice.ToInt())
	if r.DataFee != nil {
		cost.Add(cost, r.DataFee.ToInt())
	}
	var place, moved int64
	for _, l := range r.Logs {
		if l.Address != token || len(l.Topics) != 3 || l.Topics[0] != topicUsed {
			continue
		}
		if l.uses(topicUsed, a) {
			place = moved
		}
		moved++
	}
	if !cost.IsInt64() || moved == 0 {
		return 0
	}
	each, rest := cost.Int64()/moved, cost.Int64()%moved
	if place < rest {
		return each + 1
	}
	return each
}

func (l logEntry) isTransferFrom(payer common.Address) bool {
	return len(l.Topics) == 3 && l.Topics[0] == topicTransfer && l.Topics[1] == common.BytesToHash(payer.Bytes()) &&
		len(l.Data) == word
}
