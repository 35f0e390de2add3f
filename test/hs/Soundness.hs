{-# LANGUAGE CPP #-}
-- Nothing owner-only is entered twice at once. With the cabal flag checking this is the test itself; without
-- it, the driver that builds the test and runs it under each number of capabilities and each garbage
-- collector.
module Main (main) where

#ifdef MI_CHECK
import Soundness.Churn (main)
#else
import Soundness.Driver (main)
#endif
