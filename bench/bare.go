package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"errors"
	"math/big"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"golang.org/x/sync/errgroup"

	"xsynesis/evm"
	"xsynesis/money"
	"xsynesis/x402"
)

// barePoll is how often the bare loop asks for a receipt: as often as a relayer looks at the head of its chain.
const barePoll = 200 * time.Millisecond

// sendBare sends the same number of transfers, signed beforehand, without a shop: the chain's own rate for whoever
// waits for each of them. It uses the relayer's key, so no worker may run.
func sendBare(ctx context.Context, s *openedShop) (perSecond float64, err error) {
	client, err := ethclient.DialContext(ctx, s.RPC)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	signed, err := signBare(ctx, s, client)
	if err != nil {
		return 0, err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(inFlight)
	began := time.Now()
	for _, tx := range signed {
		g.Go(func() error { return sendAndWait(ctx, client, tx) })
	}
	err = g.Wait()
	return float64(len(signed)) / time.Since(began).Seconds(), err
}

var errReverted = errors.New("bench: a bare transfer reverted")

func sendAndWait(ctx context.Context, client *ethclient.Client, tx *types.Transaction) error {
	if err := client.SendTransaction(ctx, tx); err != nil {
		return err
	}
	for {
		receipt, err := client.TransactionReceipt(ctx, tx.Hash())
		if err == nil && receipt.Status != types.ReceiptStatusSuccessful {
			return errReverted
		}
		// A node that has fallen behind with its index says so instead of "not found".
		if err == nil || !errors.Is(err, ethereum.NotFound) && !strings.Contains(err.Error(), "indexing") {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(barePoll):
		}
	}
}

// transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,bytes)
var transferSelector = crypto.Keccak256([]byte("transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,bytes)"))[:4]

func signBare(ctx context.Context, s *openedShop, client *ethclient.Client) ([]*types.Transaction, error) {
	payer, err := readKey(s.Buyer)
	if err != nil {
		return nil, err
	}
	relayer, err := readKey(s.Relayer)
	if err != nil {
		return nil, err
	}
	network, err := evm.NewRegistry(nil).Network("eip155:84532")
	if err != nil {
		return nil, err
	}
	token := network.Token
	nonce, err := client.PendingNonceAt(ctx, crypto.PubkeyToAddress(relayer.PublicKey))
	if err != nil {
		return nil, err
	}
	signer := types.LatestSignerForChainID(new(big.Int).SetUint64(token.ChainID))
	signed := make([]*types.Transaction, payments)
	for i := range signed {
		data, err := authorized(payer, token)
		if err != nil {
			return nil, err
		}
		if signed[i], err = types.SignNewTx(relayer, signer, &types.DynamicFeeTx{
			ChainID: new(big.Int).SetUint64(token.ChainID), Nonce: nonce + uint64(i), To: &token.Address, Value: new(big.Int), Data: data,
			Gas: 150_000, GasTipCap: big.NewInt(1e9), GasFeeCap: big.NewInt(1e11),
		}); err != nil {
			return nil, err
		}
	}
	return signed, nil
}

// authorized is the call that moves one signed payment to a stranger: a shop would have to explain it.
func authorized(payer *ecdsa.PrivateKey, token x402.Token) ([]byte, error) {
	a := x402.Authorization{
		From: crypto.PubkeyToAddress(payer.PublicKey), To: common.HexToAddress("0x00000000000000000000000000000000000bea7e"),
		Value: big.NewInt(int64(money.One / 20)), ValidAfter: new(big.Int), ValidBefore: big.NewInt(time.Now().Add(time.Hour).Unix()),
	}
	_, _ = rand.Read(a.Nonce[:])
	signature, err := x402.Sign(a, token, payer)
	if err != nil {
		return nil, err
	}
	data := append([]byte{}, transferSelector...)
	for _, word := range [][]byte{a.From[:], a.To[:], a.Value.Bytes(), nil, a.ValidBefore.Bytes(), a.Nonce[:], {7 * 32}, {byte(len(signature))}} {
		data = append(data, common.LeftPadBytes(word, 32)...)
	}
	return append(data, common.RightPadBytes(signature, 96)...), nil
}
