package main

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"xsynesis/access"
	"xsynesis/cmd/config"
	"xsynesis/cmd/process"
	"xsynesis/cmd/wire"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/shop"
	"xsynesis/views"
)

// network is the one that the development chain stands in for.
const network = "eip155:84532"

// world is what dev.json tells scripts of the demo.
type world struct {
	BaseURL      string      `json:"base_url"`
	RPCURL       string      `json:"rpc_url"`
	ChainID      uint64      `json:"chain_id"`
	Network      string      `json:"network"`
	USDC         string      `json:"usdc"`
	DatabaseURL  string      `json:"database_url"`
	SellerID     id.Merchant `json:"seller_id"`
	APIKey       string      `json:"api_key"`
	OwnerAddress string      `json:"owner_address"`
	OwnerKey     string      `json:"owner_key"`
	BuyerAddress string      `json:"buyer_address"`
	BuyerKey     string      `json:"buyer_key"`
	RelayerKey   string      `json:"relayer_key"`
	LinkToken    string      `json:"link_token"`
	ItemID       id.Item     `json:"item_id"`
	EndpointID   id.Endpoint `json:"endpoint_id,omitempty"`
	EndpointURL  string      `json:"endpoint_url,omitempty"` // where programs pay for it

	firstRun string // the address that sets up the first shop, where there is none
}

// demoShop is a shop of the demo world.
type demoShop struct {
	founding access.Founding
	payee    func(keys) *ecdsa.PrivateKey
	links    []shop.LinkForm
	items    []demoItem
	collects bool // its money is kept for it
}

// cent keeps the demo's prices below what unmodified clients spend without asking.
const cent = money.One / 100

var demoShops = []demoShop{
	{
		access.Founding{Slug: "kaffe-nord", Name: "Kaffe Nord", Domain: "kaffe-nord.example", Owner: "Mette Lund"},
		func(k keys) *ecdsa.PrivateKey { return k.Owner },
		[]shop.LinkForm{
			{Title: "Flat white", Description: "A double shot and warm milk, at the counter.", Price: 5 * cent, Reference: "counter"},
			{Title: "Coffee beans “Fjord”, 250 g", Description: "Roasted on Tuesday. Ready to take at the counter.", Price: 1250 * cent},
			{Title: "Tasting evening, one seat", Description: "Six coffees, two hours, a table of eight.", Price: 2400 * cent, MaxPayments: 8},
		},
		cafeShelf, true,
	},
	{
		access.Founding{Slug: "halden-books", Name: "Halden Books", Domain: "halden-books.example", Owner: "Ines Halden"},
		func(k keys) *ecdsa.PrivateKey { return k.Books },
		[]shop.LinkForm{
			{Title: "Reading night, one seat", Description: "Doors at seven, tea included.", Price: 1200 * cent, MaxPayments: 40},
			{Title: "The Lighthouse Ledger, paperback", Price: 1850 * cent},
		},
		bookShelf, false,
	},
	{
		access.Founding{Slug: "tidal-data", Name: "Tidal Data", Domain: "tidal-data.example", Owner: "Omar Reyes"},
		func(k keys) *ecdsa.PrivateKey { return k.Data },
		[]shop.LinkForm{{Title: "Tide tables, one harbour", Description: "A year of high and low water as JSON.", Price: 2 * cent}},
		nil, false,
	},
}

func some(n int) *int { return &n }

// bare is a world without shops.
func bare(c *config.Config, p *wire.Parts, k keys) (world, error) {
	n, err := p.Networks.Network(network)
	if err != nil {
		return world{}, err
	}
	return world{
		BaseURL: string(c.PublicURL), RPCURL: n.RPC[0], ChainID: n.Token.ChainID, Network: network, USDC: n.Token.Address.Hex(),
		DatabaseURL: c.DatabaseURL.Reveal(), OwnerAddress: address(k.Owner).Hex(), OwnerKey: secret(k.Owner),
		BuyerAddress: address(k.Buyer).Hex(), BuyerKey: secret(k.Buyer), RelayerKey: secret(k.Relayer),
	}, nil
}

// write tells dev.json.
func (w world) write(c *config.Config) error {
	text, err := json.MarshalIndent(w, "", "  ") //nolint:gosec // for scripts; the file is its owner's alone
	if err != nil {
		return err
	}
	return process.WriteWhole(c.DevFile(), append(text, '\n'))
}

// seed makes what is missing of the demo world and tells dev.json; what is there stays.
func seed(ctx context.Context, c *config.Config, p *wire.Parts, k keys) (world, error) {
	w, err := bare(c, p, k)
	if err != nil {
		return world{}, err
	}
	for i, d := range demoShops {
		merchant, links, err := d.open(ctx, p, k)
		if err != nil {
			return world{}, fmt.Errorf("demo shop %s: %w", d.founding.Name, err)
		}
		items, err := d.fill(ctx, p, merchant)
		if err != nil {
			return world{}, fmt.Errorf("shelf of %s: %w", d.founding.Name, err)
		}
		if i == 0 {
			w.SellerID, w.LinkToken, w.ItemID = merchant, links[0].Token, items[0].ID
		}
	}
	if w.EndpointID, err = brewingEndpoint(ctx, p, w.SellerID, c.DataDir); err != nil {
		return world{}, fmt.Errorf("demo endpoint: %w", err)
	}
	if w.EndpointID != "" {
		w.EndpointURL = w.BaseURL + views.CallPath(w.EndpointID)
	}
	if w.APIKey, err = demoKey(ctx, c, p, w.SellerID); err != nil {
		return world{}, err
	}
	return w, w.write(c)
}

// open makes the shop, its address and its links, as far as they are missing; links come back in the order above.
func (d demoShop) open(ctx context.Context, p *wire.Parts, k keys) (id.Merchant, []shop.Link, error) {
	founding := d.founding
	founding.Wallet = address(d.payee(k)).Hex() // scripts sign in with the keys of dev.json
	merchant, err := p.Access.Found(ctx, founding)
	if err != nil {
		return "", nil, err
	}
	proven := time.Now().UTC()
	if err := p.Shop.SetPayee(ctx, merchant, network, address(d.payee(k)), &proven); err != nil {
		return "", nil, err
	}
	if err := d.keep(ctx, p, merchant, address(d.payee(k))); err != nil {
		return "", nil, err
	}
	var links []shop.Link
	for _, form := range d.links {
		l, err := linkTitled(ctx, p, merchant, form)
		if err != nil {
			return "", nil, err
		}
		links = append(links, l)
	}
	return merchant, links, nil
}

// keep has the shop's money kept for it from its beginning, and lets it be paid out to where the shop is paid.
func (d demoShop) keep(ctx context.Context, p *wire.Parts, merchant id.Merchant, own common.Address) error {
	if !d.collects {
		return nil
	}
	if err := p.Custody.Fill(ctx); err != nil {
		return err
	}
	modes, err := p.Custody.Modes(ctx, merchant, false)
	if err != nil || len(modes) == 0 || modes[0].Deposit != (common.Address{}) {
		return err
	}
	if err := p.Custody.SetMode(ctx, merchant, network, true, byDemo); err != nil {
		return err
	}
	return p.Custody.TrustDestination(ctx, merchant, network, own)
}

func linkTitled(ctx context.Context, p *wire.Parts, merchant id.Merchant, form shop.LinkForm) (shop.Link, error) {
	page := shop.Page{Limit: 100}
	for {
		rows, err := p.Shop.Links(ctx, merchant, false, page)
		if err != nil {
			return shop.Link{}, err
		}
		for _, l := range rows {
			if l.Title == form.Title && l.Open(time.Now()) == nil {
				return l.Link, nil
			}
		}
		if len(rows) <= page.Limit {
			return p.Shop.CreateLink(ctx, merchant, false, form, byDemo)
		}
		page.Before = string(rows[len(rows)-1].ID)
	}
}

// demoKey keeps the key that dev.json had, if it still opens the shop.
func demoKey(ctx context.Context, c *config.Config, p *wire.Parts, merchant id.Merchant) (string, error) {
	text, err := os.ReadFile(c.DevFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read %s: %w", c.DevFile(), err)
	}
	var was world
	if json.Unmarshal(text, &was) == nil && was.APIKey != "" {
		if caller, err := p.Access.Caller(ctx, was.APIKey); err == nil && caller.Merchant == merchant {
			return was.APIKey, nil
		}
	}
	return p.Access.CreateKey(ctx, merchant, false, "Demo", access.Scopes)
}
