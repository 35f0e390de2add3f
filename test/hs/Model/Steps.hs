-- What a machine can be asked to do.
module Model.Steps
  ( Step (..)
  , Op (..)
  , Way (..)
  , Change (..)
  , shrinkSteps
  ) where

import Test.QuickCheck hiding (Small)

-- | Something to do, and on which capability.
data Step = Step Int Op deriving Show

-- | Blocks and heaps are meant by a number, of those that there are then.
data Op
  = New (Maybe Int) Way Int              -- ^ from the main heap or another, so many bytes
  | Free Int
  | Resize Int (Maybe Int) Change Int
  | Expand Int Int
  | Look Int
  | NewHeap
  | EndHeap Int Bool                     -- ^ destroy it?
  | Collect Bool
  | Visit Int
  | Capabilities Int                     -- ^ so many of them from now on
  deriving Show

-- | Thread: from the heap of an OS thread, not of a capability.
data Way = Plain | Small | Thread | Zero | Array Int | ZeroArray Int | At Int Int
  | ZeroAt Int Int | ZeroArrayAt Int Int Int | Pointer Int | ZeroPointer
  deriving Show

-- | Rezalloc and its kin only for blocks that were zeroed; for others it is what is without zero.
data Change = Re | ReThread | ReArray Int | ReOrFree
  | ReAt Int Int | Rezero | RezeroArray Int | RezeroAt Int Int
  deriving Show

instance Arbitrary Step where
  arbitrary = Step <$> choose (0, 63) <*> arbitrary
  shrink (Step c op) = [ Step 0 op | c > 0 ] ++ [ Step c o | o <- shrink op ]

instance Arbitrary Op where
  arbitrary = frequency
    [ (40, New <$> place <*> arbitrary <*> size)
    , (28, Free <$> pick)
    , (18, Resize <$> pick <*> place <*> arbitrary <*> size)
    , (2, Expand <$> pick <*> size)
    , (6, Look <$> pick)
    , (2, pure NewHeap)
    , (1, EndHeap <$> pick <*> arbitrary)
    , (1, Collect <$> arbitrary)
    , (1, Visit <$> pick)
    , (1, Capabilities <$> choose (1, 6))
    ]
  shrink op = case op of
    New w how n -> [ New Nothing how n | Just _ <- [w] ]
      ++ [ New w how m | m <- shrink n ] ++ [ New w Plain n | notPlain how ]
    Resize i w how n -> [ Resize i Nothing how n | Just _ <- [w] ] ++ [ Resize i w how m | m <- shrink n ]
    _ -> []
    where notPlain how = case how of { Plain -> False; _ -> True }

instance Arbitrary Way where
  arbitrary = frequency
    [ (10, pure Plain), (2, pure Small), (2, pure Thread), (6, pure Zero)
    , (3, Array <$> factor), (3, ZeroArray <$> factor), (4, At <$> power <*> offset)
    , (4, ZeroAt <$> power <*> offset), (2, ZeroArrayAt <$> factor <*> power <*> offset)
    , (3, Pointer <$> power), (2, pure ZeroPointer) ]

instance Arbitrary Change where
  arbitrary = frequency
    [ (6, pure Re), (1, pure ReThread), (2, ReArray <$> factor), (2, pure ReOrFree)
    , (3, ReAt <$> power <*> offset), (6, pure Rezero)
    , (3, RezeroArray <$> factor), (3, RezeroAt <$> power <*> offset) ]

place :: Gen (Maybe Int)
place = frequency [(2, pure Nothing), (1, Just <$> pick)]

pick, size, factor, power, offset :: Gen Int
pick = choose (0, 1000000)
size = frequency [(200, choose (0, 200)), (100, choose (0, 2000))
                 , (40, choose (0, 20000)), (8, choose (0, 200000)), (1, choose (1000000, 2500000))]
factor = choose (1, 9)
power = frequency [(30, choose (0, 8)), (5, choose (9, 13)), (1, choose (14, 18))]
offset = frequency [(2, pure 0), (1, choose (1, 200)), (1, (* 8) <$> choose (1, 40))]

-- | In blocks first: a list of a thousand has too many sublists.
shrinkSteps :: [Step] -> [[Step]]
shrinkSteps = shrinkList shrink
